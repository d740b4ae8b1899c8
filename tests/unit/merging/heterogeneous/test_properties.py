"""What must hold for every method that carries a small model's weights into a large one."""

import pytest
import torch

from graft.encoders import encoder_of
from graft.merging import registry
from graft.merging.alignment import depth
from graft.merging.calibration import calibrate
from graft.merging.protocol import Parts
from graft.shapes import Shape

METHODS = [n for n, f in registry.METHODS.items() if f.kind == "weights" and f.heads]
# Those that carry a change over; the others mix whole weights.
TRANSPORTS = [n for n in METHODS if n not in ("ot_fusion", "grow")]
# Layers, heads and feed-forward units of small and large that do not divide one another.
SMALL, LARGE = Shape(2, 8, 2, 20, 60, 16), Shape(5, 18, 3, 30, 60, 16)


def noise(body, size, seed):
    generator = torch.Generator().manual_seed(seed)
    return {n: t + size * torch.randn(t.shape, generator=generator, dtype=torch.float64).to(t) for n, t in body.items()}


@pytest.fixture
def parts_of(pico_encoder, pico_batches):
    def make(method, change=0.1, dtype=torch.float64, **options):
        small, large = (
            pico_encoder(seed, width=s.width, layers=s.layers, heads=s.heads, ffn=s.ffn).state_dict()
            for seed, s in ((1, SMALL), (2, LARGE))
        )
        tuned = noise(small, change, seed=3)
        options = registry.checked_options(method, options)
        depth_map = depth.named(
            options.get("depth", "uniform"), SMALL.layers, LARGE.layers, [[0.1, 0.9, 0.2, 0.3, 0.1]] * 2
        )
        batches = pico_batches(examples=60, size=20)
        bodies = [{n: t.to(dtype) for n, t in body.items()} for body in (large, tuned, small)]
        statistics = calibrate(encoder_of(bodies[2], SMALL), encoder_of(bodies[0], LARGE), depth_map, batches)
        return Parts(*bodies, LARGE, SMALL, depth_map, statistics, options, batches)

    return make


def states(body, parts):
    """Last states [tokens, w_L] of a merged body on the calibration's texts."""
    with torch.no_grad():
        model = encoder_of(body, LARGE)
        return torch.cat([model(**b).last_hidden_state[b["attention_mask"].bool()] for b in parts.texts]).double()


def merged(method, parts, strength):
    merger = registry.implementation(method)()
    return merger.apply(merger.prepare(parts), strength)


@pytest.mark.parametrize(
    ("method", "options"),
    [(m, {"depth": d}) for m in METHODS if m != "grow" for d in registry.facts(m).options["depth"].choices]
    + [("grow", {})],
)
def test_strength_zero_is_the_large_model_and_the_result_has_its_shape(method, options, parts_of):
    parts = parts_of(method, **options)
    merger = registry.implementation(method)()
    state = merger.prepare(parts)
    zero, one = merger.apply(state, 0.0), merger.apply(state, 1.0)
    for tensor_name, tensor in parts.large.items():
        assert torch.equal(zero[tensor_name], tensor)
        assert one[tensor_name].shape == tensor.shape and torch.isfinite(one[tensor_name]).all()
    changed = {int(n.split(".")[2]) for n in one if n.startswith("encoder") and not torch.equal(one[n], zero[n])}
    # A model that was grown is whole: in its large layers that nothing maps to, it does nothing.
    assert changed == (set(range(LARGE.layers)) if method == "grow" else {g for _, g in parts.depth_map})


@pytest.mark.parametrize("method", TRANSPORTS)
def test_no_change_of_the_small_model_changes_nothing(method, parts_of):
    parts = parts_of(method, change=0.0)
    for name, tensor in merged(method, parts, 3.0).items():
        torch.testing.assert_close(tensor, parts.large[name], rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_strength_is_continuous(method, parts_of):
    parts = parts_of(method)
    merger = registry.implementation(method)()
    state = merger.prepare(parts)
    one, near = (states(merger.apply(state, strength), parts) for strength in (1.0, 1.0 + 1e-8))
    assert 0 < (one - near).norm() / one.norm() < 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_single_precision_gives_nearly_the_same(method, parts_of):
    # Ridge as in studies: without any, directions that hardly vary are told from noise by their precision.
    ridge = {"ridge": 0.1} if "ridge" in registry.facts(method).options else {}
    ridge |= {"map_ridge": 0.1} if "map_ridge" in registry.facts(method).options else {}
    found = {}
    for dtype in (torch.float32, torch.float64):
        parts = parts_of(method, dtype=dtype, **ridge)
        found[dtype] = states(merged(method, parts, 1.0), parts)
    assert (found[torch.float32] - found[torch.float64]).norm() / found[torch.float64].norm() < 1e-4


@pytest.mark.parametrize("method", METHODS)
def test_making_it_twice_gives_the_same_bytes(method, parts_of):
    one, two = (merged(method, parts_of(method), 1.0) for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("method", METHODS)
def test_costs_are_counted(method):
    options = registry.checked_options(method, None)
    cost = registry.implementation(method)().flops(SMALL, LARGE, options, 1000)
    assert (cost.prepare > 0) == (method != "grow") and (cost.apply > 0) == (method == "functional")
