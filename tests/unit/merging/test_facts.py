"""Every cell of the table "What crosses" (docs/methods.md) is tried on a pair that differs in nothing else."""

from dataclasses import replace

import pytest
import torch
from transformers import CONFIG_MAPPING, BertConfig

from graft.encoders.architecture import body_shapes, norm_at, norms
from graft.encoders.models import config_of, encoder_of, set_labels
from graft.encoders.network import Classifier
from graft.encoders.states import layer_states, pool
from graft.merging.calibration import calibrate
from graft.merging.classifier_heads import ridge
from graft.merging.composite.calm.maths import Calm
from graft.merging.composite.ladder.maths import Ladder
from graft.merging.composite.logit_ensemble import maths as logit_ensemble
from graft.merging.composite.proxy_tuning import maths as proxy_tuning
from graft.merging.composite.side_tuning.maths import SideTuned
from graft.merging.composite.stitch.maths import Stitched
from graft.merging.composite.stitch.maths import joint as joint_map
from graft.merging.facts import DIFFERENCES
from graft.merging.protocol import Parts, deepened
from graft.registry import depth, families, methods
from graft.registry.cuts import Cut
from graft.registry.families import BERT
from graft.tasks.vocabularies import Reader, check_spans, shared_rows
from tests.unit.families import write_pico
from tests.unit.merging import relatives

# Families that differ from BERT in one thing.
CHANGED = {"norms": BERT._replace(name="norms", types={"norms": "Bert"}, prenorm=True)}
CHANGED |= {"gates": BERT._replace(name="gates", types={"gates": "Bert"}, gated=True)}
# Options with which a method is exact, if it can be.
EXACT = {"map_ridge": 0.0, "fit_ridge": 0.0, "embedding_delta": True, "depth": "uniform"}
HARD = {"ot_fusion": {"alignment": "assignment"}}


@pytest.fixture
def changed(monkeypatch):
    """Makes both families known."""
    for name, family in CHANGED.items():
        monkeypatch.setitem(families.FAMILIES, name, family)
        monkeypatch.setitem(families.BY_TYPE, name, family)
        monkeypatch.setitem(CONFIG_MAPPING._extra_content, name, type(name, (BertConfig,), {"model_type": name}))


def moved_norms(body, shape):
    """The same tensors, LayerNorms before what reads them, which is another function."""
    large = replace(shape, family="norms")
    found = {name: tensor for name, tensor in body.items() if name in body_shapes(large)}
    for layer in range(shape.layers):
        for site in norms(large, layer).values():
            one, other = norm_at(large, layer, site), norm_at(shape, layer, site)
            found |= {f"{one}.{part}": body[f"{other}.{part}"] for part in ("weight", "bias")}
    return found, large


def gated(body, shape):
    """The same function, its feed-forward units multiplied by one."""
    large = replace(shape, family="gates")
    gates = {name: size for name, size in body_shapes(large).items() if ".gate." in name}
    ones = {name: torch.full(size, float(name.endswith("bias"))).double() for name, size in gates.items()}
    return {**body, **ones}, large


RELATIVES = {
    "width": relatives.widened(2),
    "depth": relatives.deepened,
    "norms": moved_norms,
    "gates": gated,
}


@pytest.fixture
def pair(pico_encoder, changed):
    """The small model's shape and bodies before and after fine-tuning, the large one, and what it should become."""

    def make(difference):
        small = pico_encoder(3, width=8, layers=2, heads=2, ffn=16)
        shape, before = small.shape, relatives.plain_norms(small.state_dict())
        generator = torch.Generator().manual_seed(9)
        after = {
            name: tensor if "LayerNorm" in name and difference == "depth" else tensor + noise
            for name, tensor in before.items()
            for noise in [0.1 * torch.randn(tensor.shape, generator=generator, dtype=torch.float64)]
        }
        (large, large_shape), (wanted, _) = (RELATIVES[difference](body, shape) for body in (before, after))
        return shape, before, after, large_shape, large, wanted

    return make


@torch.no_grad()
def states(body, shape, batches):
    """Last states [tokens, w]."""
    model = encoder_of(body, shape)
    return torch.cat([model(**batch).last_hidden_state[batch["attention_mask"].bool()] for batch in batches])


def error(method, parts, wanted, batches):
    """Relative error of the merged model's last states at strength 1."""
    merger = methods.implementation(method)()
    merged = merger.apply(merger.prepare(parts), 1.0)
    assert any(not merged[name].equal(tensor) for name, tensor in parts.large.items())
    found, right = (states(body, parts.large_shape, batches) for body in (merged, wanted))
    return float((found - right).norm() / right.norm())


@pytest.mark.parametrize("difference", RELATIVES)
@pytest.mark.parametrize("method", methods.table("weights"))
def test_a_merge_of_weights_crosses_as_it_says(method, difference, pair, pico_batches):
    shape, before, after, large_shape, large, wanted = pair(difference)
    depth_map, batches = depth.uniform(shape.layers, large_shape.layers), pico_batches(examples=60, size=20)
    moments = calibrate(encoder_of(before, shape), encoder_of(large, large_shape), depth_map, batches)
    known = methods.facts(method).known()
    options = {name: value for name, value in EXACT.items() if name in known} | HARD.get(method, {})
    options = methods.checked_options(method, options)
    parts = Parts(large, after, before, large_shape, shape, depth_map, moments, options, batches)
    verdict = methods.facts(method).crosses[difference].verdict
    if verdict == "refused":
        with pytest.raises(ValueError):
            error(method, parts, wanted, pico_batches(seed=4))
        return
    gap = error(method, parts, wanted, pico_batches(seed=4))
    # Of LayerNorms in other places there is no right result, only the same tensors changed alike.
    least = 0 if difference == "norms" else 1e-6
    assert gap < 1e-9 if verdict == "exact" else least <= gap < 10


def composite(method, small, large, batch):
    """What a composite of two encoders returns for a batch."""
    mask, pooled = batch["attention_mask"], []
    layers = [g for _, g in depth.uniform(small.shape.layers, large.shape.layers)]
    for model in (small, large):
        pooled.append(pool(model(**batch).last_hidden_state, mask, "mean"))
    head = ridge.fit(pooled[1], torch.eye(2).double()[torch.arange(len(mask)) % 2], [0.1])[0.1]
    seen = {"large": layer_states(large, layers, batch), "small": layer_states(small, range(small.shape.layers), batch)}
    if method == "stitch":
        cut = Cut(("small", "large"), 1, 1)
        first, second = seen["small"][:, :, 0].flatten(0, 1), layer_states(large, [0], batch)[:, :, 0].flatten(0, 1)
        return Stitched(small, large, cut, joint_map(first, second, 0.1))(batch)
    if method == "side_tuning":
        return SideTuned(small, head, "mean").double().answer(**batch, large=pooled[1])
    if method == "calm":
        return Calm(small.shape, len(layers), head, "mean", seed=0).double().answer(**batch, **seen)
    if method == "ladder":
        config = config_of(small.shape)
        set_labels(config, ("no", "yes"))
        classifier = Classifier(config).double().eval()
        return Ladder(classifier, large.shape.width, [*enumerate(layers)]).double().answer(**batch, large=seen["large"])
    if method == "concat_probe":
        both = torch.cat(pooled, dim=1)
        return ridge.fit(both, torch.eye(2).double()[torch.arange(len(mask)) % 2], [0.1])[0.1](both)
    logits = head(pooled[1]), pooled[0][:, :2], pooled[0][:, 2:4]
    if method == "logit_ensemble":
        return logit_ensemble.combine(*logits[:2], 0.5, (1.0, 2.0))
    assert method == "proxy_tuning"
    return proxy_tuning.combine(*logits, 0.5, (1.0, 2.0, 3.0))


@pytest.mark.parametrize("difference", RELATIVES)
@pytest.mark.parametrize("method", methods.table("composite"))
def test_a_composite_crosses_as_it_says(method, difference, pair, pico_batches):
    shape, before, _, large_shape, large, _ = pair(difference)
    assert methods.facts(method).crosses[difference].verdict == "works"
    with torch.no_grad():
        found = composite(method, encoder_of(before, shape), encoder_of(large, large_shape), pico_batches()[0])
    assert torch.isfinite(found).all()


@pytest.mark.parametrize(
    "families_of", ["bert modernbert", "modernbert bert", "deberta-v2 modernbert", "bert deberta-v2"]
)
@pytest.mark.parametrize("method", ["theseus", "spacewise", "functional", "ot_fusion"])
def test_models_of_two_families_cross_all_that_they_differ_in(method, families_of, pico_encoder, pico_batches):
    one, other = families_of.split()
    small, large = pico_encoder(1, family=one), pico_encoder(2, 18, 5, 3, 30, family=other)
    after = {name: tensor + 0.1 * torch.randn_like(tensor) for name, tensor in small.state_dict().items()}
    options = methods.checked_options(method, {})
    depth_map, batches = depth.named(options.depth, 2, 5, ()), pico_batches(examples=60, size=20)
    bodies = large.state_dict(), after, small.state_dict()
    parts = deepened(Parts(*bodies, large.shape, small.shape, depth_map, None, options, batches))
    seen = calibrate(encoder_of(parts.small_pretrained, parts.small_shape), large, parts.depth_map, batches)
    merger = methods.implementation(method)()
    state = merger.prepare(replace(parts, moments=seen))
    zero, whole = merger.apply(state, 0.0), merger.apply(state, 1.0)
    assert all(zero[name].equal(tensor) for name, tensor in parts.large.items())
    assert all(torch.isfinite(tensor).all() for tensor in whole.values()) and whole.keys() == parts.large.keys()
    moved = {name for name, tensor in whole.items() if not tensor.equal(parts.large[name])}
    for part in (
        "query.weight",
        "value.weight",
        "intermediate.dense.weight",
        "output.dense.weight",
        "LayerNorm.weight",
    ):
        assert any(part in name for name in moved), part
    # A gate moves only where both models have one.
    assert not any(".gate." in name for name in moved)


@pytest.mark.parametrize("method", methods.table(*methods.KINDS))
def test_every_difference_has_a_cell(method):
    assert list(methods.facts(method).crosses) == list(DIFFERENCES)
    assert {cell.verdict for cell in methods.facts(method).crosses.values()} <= {"exact", "works", "refused"}


def test_another_vocabulary_works_with_all_methods_as_their_own_tests_show(tmp_path):
    """Values with two vocabularies: tests/unit/merging/test_two_vocabularies.py."""
    verdicts = {method.crosses["vocabulary"].verdict for method in methods.table(*methods.KINDS).values()}
    assert verdicts == {"works"}
    one, other = (Reader.of(write_pico(tmp_path / family, family)) for family in ("bert", "roberta"))
    check_spans(one, other, "pair")
    assert (shared_rows(other, one) >= 0).all()
