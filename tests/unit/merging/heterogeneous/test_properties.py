"""What must hold for every method that makes one model of the large shape."""

from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from graft.encoders.models import encoder_of
from graft.merging.classifier_heads.fitting import fit_heads
from graft.merging.classifier_heads.head import Head, head_logits, unfitted
from graft.merging.heterogeneous.interpolate.maths import interpolated_head
from graft.merging.saving import save_classifier
from graft.registry.methods import checked_options, facts, implementation, table
from graft.registry.shapes import Shape
from tests.unit.conftest import LARGE, SMALL

METHODS = list(table("weights"))
# Those that carry a change over; the others mix whole weights.
TRANSPORTS = [name for name in METHODS if name not in ("ot_fusion", "grow", "interpolate")]
# Large layers that move where it is not those of the depth map: a grown model is whole, and does nothing in layers that
# nothing maps to; interpolation pairs layers by their number.
MOVED = {"grow": set(range(LARGE.layers)), "interpolate": set(range(SMALL.layers))}


def by_depth(methods):
    """Each method with each of its depth maps."""
    return [
        pytest.param(method, options, id="-".join([method, *options.values()]))
        for method in methods
        for known in [facts(method).known().get("depth")]
        for options in ([{"depth": name} for name in known.choices] if known else [{}])
    ]


def states(body, parts):
    """Last states [tokens, w_L] of a merged body on the calibration's texts."""
    with torch.no_grad():
        model = encoder_of(body, parts.large_shape)
        return torch.cat([model(**b).last_hidden_state[b["attention_mask"].bool()] for b in parts.texts]).double()


def prepared(method, parts):
    """The body at any strength."""
    merger = implementation(method)()
    state = merger.prepare(parts)
    return lambda strength: merger.apply(state, strength)


def distance(one, other):
    """Norm of the difference of two bodies."""
    return float(torch.stack([(one[name].double() - other[name].double()).norm() for name in one]).norm())


@pytest.mark.parametrize(("method", "options"), by_depth(METHODS))
def test_strength_zero_is_the_large_model_and_the_result_has_its_shape(method, options, parts_of):
    parts = parts_of(method, **options)
    body = prepared(method, parts)
    zero, one = body(0.0), body(1.0)
    assert zero.keys() == one.keys() == parts.large.keys()
    for name, tensor in parts.large.items():
        assert torch.equal(zero[name], tensor) and zero[name].dtype == tensor.dtype
        assert one[name].shape == tensor.shape and torch.isfinite(one[name]).all()
    changed = {int(n.split(".")[2]) for n in one if n.startswith("encoder") and not torch.equal(one[n], zero[n])}
    assert changed == MOVED.get(method, {g for _, g in parts.depth_map})


@pytest.mark.parametrize("method", METHODS)
def test_strength_zero_is_the_large_model_in_single_precision_too(method, parts_of):
    parts = parts_of(method, dtype=torch.float32)
    for name, tensor in prepared(method, parts)(0.0).items():
        assert torch.equal(tensor, parts.large[name]) and tensor.dtype == torch.float32


@pytest.mark.parametrize(("method", "options"), by_depth(TRANSPORTS))
def test_no_change_of_the_small_model_changes_nothing(method, options, parts_of):
    parts = parts_of(method, change=0.0, **options)
    # The large model to the last bit, but for a method that refits what has not moved and so rounds it.
    tolerance = 1e-10 if method == "functional" else 0
    for name, tensor in prepared(method, parts)(3.0).items():
        torch.testing.assert_close(tensor, parts.large[name], rtol=0, atol=tolerance)


@pytest.mark.parametrize("strength", [0.0, 1.0])
@pytest.mark.parametrize("method", METHODS)
def test_bodies_move_in_proportion_to_small_steps_of_strength(method, strength, parts_of):
    body = prepared(method, parts_of(method))
    here = body(strength)
    slopes = [distance(body(strength + step), here) / abs(step) for step in (1e-3, 1e-4, 1e-5, -1e-5)]
    assert min(slopes) > 0 and max(slopes) < 1.05 * min(slopes)


def ridges(method):
    """As in studies: without any, directions that hardly vary are told from noise by their precision."""
    return {name: 0.1 for name in facts(method).known() if name.endswith("_ridge")}


@pytest.mark.parametrize("method", METHODS)
def test_single_precision_gives_nearly_the_same_states(method, parts_of):
    found = {}
    for dtype in (torch.float32, torch.float64):
        parts = parts_of(method, dtype=dtype, **ridges(method))
        found[dtype] = states(prepared(method, parts)(1.0), parts)
    assert (found[torch.float32] - found[torch.float64]).norm() / found[torch.float64].norm() < 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_bodies_in_single_precision_give_nearly_the_same_tensors_from_the_same_statistics(method, parts_of):
    double = parts_of(method, **ridges(method))
    roles = "large", "small_finetuned", "small_pretrained"
    single = replace(double, **{role: {n: t.float() for n, t in getattr(double, role).items()} for role in roles})
    one, other = (prepared(method, parts)(1.0) for parts in (single, double))
    # The walk is in the bodies' own precision, and weights of units that hardly vary on its texts are large and loose.
    tolerance = 1e-2 if method == "functional" else 1e-4
    for name, tensor in other.items():
        assert one[name].dtype == torch.float32
        assert (one[name] - tensor).norm() <= tolerance * tensor.norm(), name


@pytest.mark.parametrize("method", METHODS)
def test_making_it_twice_gives_the_same_bytes(method, parts_of):
    one, two = (prepared(method, parts_of(method))(1.0) for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        *by_depth(name for name in METHODS if name != "ot_fusion"),  # plans of optimal transport are found by numpy
        ("theseus", {"evidence": "weights"}),
        ("theseus", {"embedding_delta": True}),
        *(("spacewise", {"residual": residual, "per_head": True}) for residual in ("per_site", "fit_dense")),
        *(("spacewise", {"alignment": alignment}) for alignment in ("whitened", "scaled_procrustes")),
    ],
)
def test_all_is_computed_on_the_device_of_the_parts(method, options, parts_of, monkeypatch):
    def refuse(tensor):
        raise AssertionError("a tensor was fetched to the CPU")

    parts = parts_of(method, **options)
    parts = replace(parts, projections=(torch.randn(LARGE.width, SMALL.width),)).to("cpu")
    expected = prepared(method, parts)(0.5)
    monkeypatch.setattr(torch.Tensor, "cpu", refuse)
    # A new tensor that names no device is on none now, and does not combine with those of the parts.
    with torch.device("meta"):
        found = prepared(method, parts)(0.5)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


@pytest.mark.parametrize("method", METHODS)
def test_costs_are_counted(method):
    options = checked_options(method, None)
    cost = options.flops(SMALL, LARGE, 1000)
    assert (cost.prepare > 0) == (method != "interpolate")
    assert (cost.apply > 0) == (method == "functional")


# Layers, width, heads and feed-forward units: other heads, feed-forward layers that are not four times as wide, and
# depths and widths of which none divides the other.
SHAPES = {
    "2 layers in 3": ((2, 8, 2, 20), (3, 20, 4, 36)),
    "3 layers in 5": ((3, 9, 3, 10), (5, 16, 4, 70)),
    "2 layers in 5": ((2, 12, 1, 50), (5, 12, 3, 50)),
}
LABELS = [("no", "yes"), ("a", "b", "c"), None]


def first_states(model, batches):
    with torch.no_grad():
        return torch.cat([model(**batch).last_hidden_state[:, 0] for batch in batches])


def random_head(width, outputs):
    generator = torch.Generator().manual_seed(7)
    sizes = (width, width), (width,), (outputs, width), (outputs,)
    return Head(*(torch.randn(size, generator=generator, dtype=torch.float64) for size in sizes))


def head_of(kind, body, parts, small_head):
    """A head of one kind on a merged body; labels are as good as random."""
    if kind is None:
        return interpolated_head(small_head, body, 0.5)
    hidden = first_states(encoder_of(body, parts.large_shape), parts.texts)
    outputs = len(small_head.classifier_bias)
    classes = None if outputs == 1 else outputs
    return fit_heads(
        kind,
        hidden,
        unfitted(body, parts.large_shape),
        [0.1],
        small_head=small_head,
        small_hidden=first_states(encoder_of(parts.small_finetuned, parts.small_shape), parts.texts),
        labels=torch.arange(len(hidden)) % (classes or 7),
        classes=classes,
    )[0.1]


@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize("method", METHODS)
def test_any_shape_and_labels_are_saved_as_a_model_with_the_same_logits(method, case, parts_of, tmp_path):
    shapes = [Shape(*sizes, SMALL.vocabulary, positions=16) for sizes in SHAPES[case]]
    parts = parts_of(method, dtype=torch.float32, shapes=shapes)
    try:
        body = prepared(method, parts)(0.5)
    except ValueError as error:
        # Small heads stand in large ones, so they must have room there.
        assert method == "grow" and "do not fit into" in str(error)
        return
    encoder = encoder_of(parts.large, shapes[1])
    encoder.config.save_pretrained(tmp_path / "large")
    kinds = facts(method).heads or (None,)
    for number, labels in enumerate(LABELS):
        kind = kinds[(number + list(SHAPES).index(case)) % len(kinds)]
        head = head_of(kind, body, parts, random_head(shapes[0].width, len(labels or ("score",))))
        save_classifier(body, head, tmp_path / "large", labels, tmp_path / "merged")
        # Weights as they are saved, computed with in double precision, where another attention makes no difference.
        loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged").double().eval()
        single = Head(*(tensor.float() for tensor in head.tensors.values()))
        double = {name: tensor.double() for name, tensor in body.items()}
        expected = head_logits(single, first_states(encoder_of(double, shapes[1]), parts.texts))
        with torch.no_grad():
            found = torch.cat([loaded(**batch).logits for batch in parts.texts])
        assert found.shape[1] == len(labels or ("score",)) and torch.isfinite(found).all()
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
