from dataclasses import replace

import pytest
import torch

from graft.encoders.architecture import POSITION_BIASES, stacked
from graft.encoders.models import encoder_of
from graft.merging.calibration import calibrate
from graft.merging.heterogeneous.spacewise.maths import Spacewise
from graft.merging.protocol import Parts, deepened
from graft.registry import depth, methods
from tests.unit.families import FAMILIES
from tests.unit.merging import relatives

RELATIVES = {
    "identical": relatives.identical,
    "widened x2": relatives.widened(2),
    "widened x3": relatives.widened(3),
    "permuted": relatives.permuted,
    "turned, stretched and shifted": relatives.turned,
    "stretched": relatives.stretched,
    "identity blocks": relatives.deepened,
}


@pytest.fixture
def related(pico_encoder, shape_of, pico_batches):
    """Parts of a merge whose right result is known, that result, and an encoder for a body."""

    def make(relative, family="bert", **options):
        small = pico_encoder(3, width=8, layers=2, heads=2, ffn=16, family=family)
        shape, before = shape_of(small), {n: t.clone() for n, t in small.state_dict().items()}
        if relative is relatives.deepened:
            before = relatives.plain_norms(before)
        generator = torch.Generator().manual_seed(9)
        after = {n: t + 0.1 * torch.randn(t.shape, generator=generator, dtype=t.dtype) for n, t in before.items()}
        if relative is relatives.deepened:
            # The blocks that change nothing must go on doing so.
            after = {n: before[n] if "LayerNorm" in n else t for n, t in after.items()}
        # Biases of relative positions stay the large model's.
        after |= {n: t for n, t in before.items() if n == POSITION_BIASES}
        (large, large_shape), (expected, _) = relative(before, shape), relative(after, shape)
        depth_map = depth.uniform(shape.layers, large_shape.layers)
        batches = pico_batches(examples=60, size=20)
        statistics = calibrate(encoder_of(before, shape), encoder_of(large, large_shape), depth_map, batches)
        options = methods.checked_options("spacewise", options)
        parts = Parts(large, after, before, large_shape, shape, depth_map, statistics, options)
        return parts, expected

    return make


def error(merged, expected, shape, batches):
    """Largest relative error of the merged body's last states."""
    states = [
        torch.cat(
            [encoder_of(body, shape)(**batch).last_hidden_state[batch["attention_mask"].bool()] for batch in batches]
        )
        for body in (merged, expected)
    ]
    return float((states[0] - states[1]).norm() / states[1].norm())


@torch.no_grad()
@pytest.mark.parametrize("name", RELATIVES)
@pytest.mark.parametrize(
    ("family", "options"),
    [*((family, {}) for family in FAMILIES), ("bert", {"per_head": True}), ("bert", {"layernorm": "map"})],
    ids=str,
)
def test_at_ridge_zero_the_large_model_becomes_exactly_the_fine_tuned_small_one(
    name, family, options, related, pico_batches
):
    parts, expected = related(RELATIVES[name], family, map_ridge=0, **options)
    method = Spacewise()
    merged = method.apply(method.prepare(parts), 1.0)
    assert error(merged, expected, parts.large_shape, pico_batches(seed=4)) < 1e-9


@torch.no_grad()
@pytest.mark.parametrize("name", RELATIVES)
def test_the_default_ridge_stays_below_a_hundredth(name, related, pico_batches):
    parts, expected = related(RELATIVES[name])
    method = Spacewise()
    merged = method.apply(method.prepare(parts), 1.0)
    assert error(merged, expected, parts.large_shape, pico_batches(seed=4)) < 1e-2


@torch.no_grad()
@pytest.mark.parametrize("name", ["widened x2", "permuted"])
def test_one_map_per_site_is_exact_too(name, related, pico_batches):
    parts, expected = related(RELATIVES[name], map_ridge=0, residual="per_site")
    method = Spacewise()
    merged = method.apply(method.prepare(parts), 1.0)
    assert error(merged, expected, parts.large_shape, pico_batches(seed=4)) < 1e-9


@torch.no_grad()
def test_hard_transport_is_exact_for_permutations(related, pico_batches):
    parts, expected = related(relatives.permuted, alignment="assignment", layernorm="map")
    method = Spacewise()
    merged = method.apply(method.prepare(parts), 1.0)
    assert error(merged, expected, parts.large_shape, pico_batches(seed=4)) < 1e-9


@torch.no_grad()
def test_a_projection_from_distillation_takes_the_place_of_the_way_forward(related, pico_batches):
    parts, expected = related(relatives.widened(2), map_ridge=0, residual="fit_dense")
    with pytest.raises(ValueError, match="came without the projection of its distillation"):
        Spacewise().prepare(parts)
    projection = torch.eye(8, dtype=torch.float64).repeat(2, 1)  # [w_L, w_S]
    method = Spacewise()
    merged = method.apply(method.prepare(replace(parts, projections=(projection,))), 1.0)
    assert error(merged, expected, parts.large_shape, pico_batches(seed=4)) < 1e-9
    merged = method.apply(method.prepare(replace(parts, projections=(-projection,))), 1.0)
    assert error(merged, expected, parts.large_shape, pico_batches(seed=4)) > 0.1


@torch.no_grad()
def test_each_layer_takes_its_own_projection(related, pico_batches):
    parts, expected = related(relatives.widened(2), map_ridge=0, residual="fit_dense")
    projection, method = torch.eye(8, dtype=torch.float64).repeat(2, 1), Spacewise()
    for wrong in (None, 0, 1, 2):  # of the embeddings, and of either layer
        own = [projection if state != wrong else -projection for state in range(3)]
        merged = method.apply(method.prepare(replace(parts, projections=own)), 1.0)
        gap = error(merged, expected, parts.large_shape, pico_batches(seed=4))
        assert gap < 1e-9 if wrong is None else gap > 0.01
    with pytest.raises(ValueError, match=r"projection is \[24, 8\], made for a teacher 24 wide; this large model"):
        Spacewise().prepare(replace(parts, projections=(projection.new_zeros(24, 8),)))


def test_projections_follow_layers_that_are_repeated(parts_of):
    parts = parts_of("spacewise", depth="extend")
    own = [torch.full((18, 8), float(state)) for state in range(3)]
    grown = deepened(replace(parts, projections=own))
    assert [int(p[0, 0]) for p in grown.projections] == [0, *(m + 1 for m, _ in parts.depth_map)]


@torch.no_grad()
@pytest.mark.parametrize("name", ["identical", "widened x2", "permuted", "turned, stretched and shifted"])
def test_whitened_maps_are_exact_where_least_squares_are(name, related, pico_batches):
    parts, expected = related(RELATIVES[name], map_ridge=0, alignment="whitened")
    method = Spacewise()
    merged = method.apply(method.prepare(parts), 1.0)
    assert error(merged, expected, parts.large_shape, pico_batches(seed=4)) < 1e-8


@torch.no_grad()
@pytest.mark.parametrize("name", depth.DEEPENED)
def test_a_small_model_made_deeper_is_exact_where_the_large_one_is_made_so_too(name, related, pico_batches):
    def grown(body, shape):
        return stacked(body, (0, 0, 1, 1), midpoints=name == "midpoints"), replace(shape, layers=4)

    parts, expected = related(grown, map_ridge=0, depth=name)
    parts = deepened(replace(parts, depth_map=depth.named(name, 2, 4, ())))
    assert parts.depth_map == ((0, 0), (1, 1), (2, 2), (3, 3))
    small, large = (
        encoder_of(body, shape)
        for body, shape in ((parts.small_pretrained, parts.small_shape), (parts.large, parts.large_shape))
    )
    statistics = calibrate(small, large, parts.depth_map, pico_batches(examples=60, size=20))
    method = Spacewise()
    merged = method.apply(method.prepare(replace(parts, moments=statistics)), 1.0)
    assert error(merged, expected, parts.large_shape, pico_batches(seed=4)) < 1e-9


@torch.no_grad()
def test_what_maps_miss_is_said_by_space_and_never_falls_as_ridge_grows(related):
    found = [
        Spacewise().prepare(related(relatives.widened(2), map_ridge=ridge)[0]).diagnostics for ridge in (0, 0.1, 1)
    ]
    assert set(found[0]) == {"missed.residual", "missed.query_key", "missed.value", "missed.ffn"}
    for space in found[0]:
        shares = [diagnostics[space] for diagnostics in found]
        assert shares[0] < 1e-9 and shares == sorted(shares) and shares[-1] > 0.05


@torch.no_grad()
@pytest.mark.parametrize("residual", ["pooled", "per_site"])
def test_where_no_width_is_a_multiple_what_maps_miss_never_falls_as_ridge_grows(residual, parts_of):
    found = [
        Spacewise().prepare(parts_of("spacewise", map_ridge=ridge, residual=residual)).diagnostics
        for ridge in (0, 1e-3, 0.1, 0.3, 1)
    ]
    for space in found[0]:
        shares = [diagnostics[space] for diagnostics in found]
        assert shares == sorted(shares) and shares[0] > 0.01, space
