import pytest
import torch
from transformers import BertConfig, BertModel

from graft.merging import registry
from graft.merging.alignment import depth
from graft.merging.calibration import calibrate
from graft.merging.heterogeneous.spacewise import Spacewise
from graft.merging.protocol import Parts
from tests.unit.merging import relatives

RELATIVES = {
    "identical": relatives.identical,
    "widened x2": relatives.widened(2),
    "widened x3": relatives.widened(3),
    "permuted": relatives.permuted,
    "turned, stretched and shifted": relatives.turned,
    "identity blocks": relatives.deepened,
}


@pytest.fixture
def encoder_of():
    """A float64 encoder with this body."""

    def make(body, shape):
        config = BertConfig(
            vocab_size=shape.vocabulary, hidden_size=shape.width, num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads, intermediate_size=shape.ffn, max_position_embeddings=shape.positions,
            attn_implementation="eager",
        )  # fmt: skip
        model = BertModel(config).double().eval()
        model.load_state_dict(body)
        return model

    return make


@pytest.fixture
def related(pico_encoder, shape_of, pico_batches, encoder_of):
    """Parts of a merge whose right result is known, that result, and an encoder for a body."""

    def make(relative, **options):
        small = pico_encoder(3, width=8, layers=2, heads=2, ffn=16)
        shape, before = shape_of(small), {n: t.clone() for n, t in small.state_dict().items()}
        if relative is relatives.deepened:
            before = relatives.plain_norms(before)
        generator = torch.Generator().manual_seed(9)
        after = {n: t + 0.1 * torch.randn(t.shape, generator=generator, dtype=t.dtype) for n, t in before.items()}
        if relative is relatives.deepened:
            # The blocks that change nothing must go on doing so.
            after = {n: before[n] if "LayerNorm" in n else t for n, t in after.items()}
        (large, large_shape), (expected, _) = relative(before, shape), relative(after, shape)
        depth_map = depth.uniform(shape.layers, large_shape.layers)
        batches = pico_batches(examples=60, size=20)
        statistics = calibrate(encoder_of(before, shape), encoder_of(large, large_shape), depth_map, batches)
        options = registry.checked_options("spacewise", options)
        parts = Parts(large, after, before, large_shape, shape, depth_map, statistics, options)
        return parts, expected

    return make


def error(merged, expected, encoder, shape, batches):
    """Largest relative error of the merged body's last states."""
    states = [
        torch.cat(
            [encoder(body, shape)(**batch).last_hidden_state[batch["attention_mask"].bool()] for batch in batches]
        )
        for body in (merged, expected)
    ]
    return float((states[0] - states[1]).norm() / states[1].norm())


@torch.no_grad()
@pytest.mark.parametrize("name", RELATIVES)
@pytest.mark.parametrize("options", [{}, {"per_head": True}, {"layernorm": "map"}], ids=str)
def test_at_ridge_zero_the_large_model_becomes_exactly_the_fine_tuned_small_one(
    name, options, related, pico_batches, encoder_of
):
    parts, expected = related(RELATIVES[name], ridge=0, **options)
    method = Spacewise()
    merged = method.apply(method.prepare(parts), 1.0)
    assert error(merged, expected, encoder_of, parts.large_shape, pico_batches(seed=4)) < 1e-9


@torch.no_grad()
@pytest.mark.parametrize("name", RELATIVES)
def test_the_default_ridge_stays_below_a_hundredth(name, related, pico_batches, encoder_of):
    parts, expected = related(RELATIVES[name])
    method = Spacewise()
    merged = method.apply(method.prepare(parts), 1.0)
    assert error(merged, expected, encoder_of, parts.large_shape, pico_batches(seed=4)) < 1e-2
