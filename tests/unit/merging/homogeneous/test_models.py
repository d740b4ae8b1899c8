import numpy as np
import pytest

from graft.merging.homogeneous import models as blocks
from graft.merging.homogeneous.checkpoint import Checkpoint
from graft.merging.homogeneous.models import Models, in_order_of_content
from tests.unit.merging.homogeneous import making


@pytest.fixture
def world(tmp_path):
    """A base and two models near it, as checkpoints and as arrays."""
    values = {"base": making.tensors(0)}
    values |= {name: making.tensors(seed, 0.1, values["base"]) for seed, name in enumerate(("m1", "m2"), 1)}
    for name, tensors in values.items():
        making.write(tmp_path / name, tensors)
    checkpoints = {name: Checkpoint.of_folder(tmp_path / name) for name in values}
    return values, checkpoints


@pytest.mark.parametrize("size", [1 << 17, 1, 8])
def test_blocks_are_the_rows_of_a_tensor_each_once_and_deltas_are_model_minus_origin(world, monkeypatch, size):
    values, found = world
    monkeypatch.setattr(blocks, "BLOCK", size)
    models = Models(found["base"], (found["m1"], found["m2"]), (1.0, 1.0))
    parts = list(models.blocks("layer.weight"))
    assert len(parts) == (1 if size > 30 else 5)
    assert [part.stop for part in parts[:-1]] == [part.start for part in parts[1:]] and parts[-1].stop == 30
    assert np.array_equal(np.concatenate([part.origin for part in parts]), values["base"]["layer.weight"])
    for number, name in enumerate(("m1", "m2")):
        delta = np.concatenate([part.deltas[number] for part in parts])
        assert np.array_equal(delta, values[name]["layer.weight"] - values["base"]["layer.weight"])
    assert len(list(models.blocks("layer.weight", whole=True))) == 1 and not list(models.blocks("nothing.weight"))


def test_only_floating_tensors_are_merged(world):
    _, found = world
    assert "position_ids" not in Models(found["base"], (found["m1"],), (1.0,)).names


def test_the_order_is_that_of_content_and_weights_go_along(world):
    _, found = world
    one = in_order_of_content(Models(found["base"], (found["m1"], found["m2"]), (1.0, 2.0)))
    other = in_order_of_content(Models(found["base"], (found["m2"], found["m1"]), (2.0, 1.0)))
    assert one.tuned == other.tuned and one.weights == other.weights and one.origin is found["base"]
    first = in_order_of_content(Models(found["m2"], (found["m2"], found["m1"]), (2.0, 1.0)))
    assert first.origin is first.tuned[0]


def test_a_value_that_is_not_finite_is_named_with_its_model(tmp_path):
    values = making.tensors(0)
    values["layer.bias"][2] = np.nan
    making.write(tmp_path / "broken", values)
    broken = Checkpoint.of_folder(tmp_path / "broken")
    with pytest.raises(ValueError, match="layer.bias holds values that are not finite; the model is damaged"):
        list(Models(broken, (broken,), (1.0,)).blocks("layer.bias"))
