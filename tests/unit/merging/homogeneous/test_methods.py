"""Properties that every method must have."""

import numpy as np
import pytest

from graft.merging.homogeneous import models as blocks
from graft.merging.homogeneous.fisher import FISHER
from graft.merging.homogeneous.regmean import GRAM
from graft.registry import methods
from tests.unit.merging.homogeneous import making

METHODS = list(methods.table(methods.ONE_SHAPE))
SYMMETRIC = [name for name in METHODS if name != "slerp"]
BASELESS = [name for name in SYMMETRIC if not methods.facts(name).base]
RANDOM = [name for name in METHODS if "seed" in methods.facts(name).known()]
# With these a method has nothing to leave out, and sums count three equal models once.
NEUTRAL = {
    "task_arithmetic": {"strength": 1 / 3},
    "ties": {"options": {"density": 1}},
    "dare_linear": {"strength": 1 / 3, "options": {"density": 1}},
    "dare_ties": {"options": {"density": 1}},
    "breadcrumbs": {"strength": 1 / 3, "options": {"density": 1, "outliers": 0}},
    "della_linear": {"strength": 1 / 3, "options": {"density": 1}},
    "della": {"options": {"density": 1}},
    "slerp": {"strength": 1.0},
}
# They change the spectrum of what they merge: see test_iso_c.py and test_tsv.py.
SPECTRAL = ("iso_c", "tsv")


@pytest.fixture
def world(tmp_path):
    """Folders: a base and three models made from it, with statistics of both kinds."""
    base = making.tensors(0)
    making.write(tmp_path / "base", base)
    for i in (1, 2, 3):
        making.write(tmp_path / f"m{i}", making.tensors(i, 0.1, base))
        for kind in (FISHER, GRAM):
            making.statistics(tmp_path / kind / f"m{i}", kind, i)
    return tmp_path


def merge(world, method, numbers=(1, 2, 3), out="out", **changes):
    """Of the world's models, with its base, as many as the method takes."""
    facts = methods.facts(method)
    numbers = numbers[:1] if method == "slerp" else numbers
    models = changes.pop("models", None) or [world / f"m{i}" for i in numbers]
    if facts.statistics:
        changes["statistics"] = tuple(world / facts.statistics / f"m{i}" for i in numbers)
    base = changes.pop("base", world / "base")
    return making.merged(world / out, method, models[:1] if method == "slerp" else models, base, **changes)


@pytest.mark.parametrize("method", METHODS)
def test_models_that_equal_the_base_merge_into_it_exactly(method, world):
    assert making.same(merge(world, method, models=[world / "base"] * 3), making.read(world / "base"))


@pytest.mark.parametrize("method", [name for name in METHODS if name not in SPECTRAL])
def test_merging_identical_models_returns_the_model(method, world):
    result = merge(world, method, models=[world / "m1"] * 3, **NEUTRAL.get(method, {}))
    assert making.close(result, making.read(world / "m1"))


@pytest.mark.parametrize("method", BASELESS)
def test_without_a_base_identical_models_return_the_model_exactly(method, world):
    result = merge(world, method, models=[world / "m1"] * 3, base=None)
    assert making.same(result, making.read(world / "m1"))


@pytest.mark.parametrize("method", METHODS)
def test_strength_0_returns_the_base_exactly(method, world):
    assert making.same(merge(world, method, strength=0.0), making.read(world / "base"))


@pytest.mark.parametrize("method", METHODS)
def test_something_is_merged_and_more_with_more_strength(method, world):
    base = making.read(world / "base")

    def moved(out, strength):
        result = merge(world, method, out=out, strength=strength)
        return np.sqrt(sum(np.square(result[name] - base[name]).sum() for name in base))

    assert 0 < 1.5 * moved("a", 0.5) < moved("b", 1.0)


@pytest.mark.parametrize("method", SYMMETRIC)
def test_permuting_the_models_changes_nothing(method, world):
    one = merge(world, method, out="one")
    other = merge(world, method, (3, 1, 2), out="other")
    assert making.same(one, other)


@pytest.mark.parametrize("method", [name for name in SYMMETRIC if methods.facts(name).weighted])
def test_permuting_the_models_with_their_weights_changes_nothing(method, world):
    one = merge(world, method, out="one", weights=(1.0, 2.0, 4.0))
    other = merge(world, method, (3, 1, 2), out="other", weights=(4.0, 1.0, 2.0))
    assert making.same(one, other) and not making.close(one, merge(world, method, out="alike"), 1e-4)


@pytest.mark.parametrize("method", BASELESS)
def test_without_a_base_permuting_changes_nothing_either(method, world):
    one, other = (merge(world, method, order, out=f"{order}", base=None) for order in ((1, 2, 3), (2, 3, 1)))
    assert making.same(one, other)


@pytest.mark.parametrize("method", METHODS)
def test_sharding_changes_nothing(method, world):
    for name in ("base", "m1", "m2", "m3"):
        making.write(world / "sharded" / name, making.read(world / name), files=3)
    models = [world / "sharded" / f"m{i}" for i in (1, 2, 3)]
    whole = merge(world, method, out="whole")
    sharded = merge(world, method, out="parts", models=models, base=world / "sharded" / "base", max_shard_size="100B")
    assert making.same(whole, sharded)
    assert len(list((world / "parts").glob("model-*-of-*.safetensors"))) > 3
    again = merge(world, method, out="again", models=models, base=world / "sharded" / "base")
    weights = [(world / out / "model.safetensors").read_bytes() for out in ("whole", "again")]
    assert making.same(whole, again) and weights[0] == weights[1]


@pytest.mark.parametrize("method", METHODS)
def test_the_size_of_blocks_changes_nothing(method, world, monkeypatch):
    whole = merge(world, method, out="whole")
    monkeypatch.setattr(blocks, "BLOCK", 7)
    small = merge(world, method, out="small")
    # Norms and angles are sums, which may be added up in another order.
    assert making.close(whole, small) if method in ("slerp", "model_stock", "fisher") else making.same(whole, small)


@pytest.mark.parametrize("method", METHODS)
def test_another_shape_is_an_error(method, world):
    values = making.read(world / "m1")
    values["layer.weight"] = values["layer.weight"][:, :-1]
    wrong = making.write(world / "wrong", values)
    with pytest.raises(ValueError, match=r"wrong: layer.weight is \[5, 5\], in .* \[5, 6\]; must be one shape"):
        merge(world, method, models=[wrong, world / "m2", world / "m3"])
    assert not (world / "out").exists()


@pytest.mark.parametrize("method", RANDOM)
def test_random_masks_depend_on_seed_and_tensor_name_alone(method, world):
    whole = merge(world, method, out="whole")
    for name in ("base", "m1", "m2", "m3"):
        values = making.read(world / name)
        del values["embeddings.weight"], values["layer.bias"]
        making.write(world / "fewer" / name, values)
    models = [world / "fewer" / f"m{i}" for i in (1, 2, 3)]
    fewer = merge(world, method, out="fewer-out", models=models, base=world / "fewer" / "base")
    assert all(np.array_equal(fewer[name], whole[name]) for name in fewer)
    other = merge(world, method, out="other", options={"seed": 1})
    assert not making.close(other, whole)
