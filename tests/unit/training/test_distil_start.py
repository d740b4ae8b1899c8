"""The closed-form start: bases and reductions are exact where the rank allows."""

import torch
from torch import nn

from graft.training.distil_start import _fit_residual, _reduced_heads, captured, ridge, state_basis


def _states(rows, width, rank, seed=0):
    generator = torch.Generator().manual_seed(seed)
    low = torch.randn(rows, rank, generator=generator, dtype=torch.float64)
    return low @ torch.randn(rank, width, generator=generator, dtype=torch.float64) + 3.0


def test_basis_reconstructs_states_of_low_rank_exactly():
    states = _states(200, 16, rank=7)
    basis = state_basis([states], 8)
    torch.testing.assert_close(basis.small(states) @ basis.weight.T + basis.mean, states, rtol=0, atol=1e-8)


def test_basis_survives_the_mean_that_layer_norm_removes():
    states = _states(200, 16, rank=7)
    small = state_basis([states], 8).small(states)
    assert small.mean(1).abs().max() < 1e-8
    assert abs(float(small.square().mean()) - 1) < 1e-8  # LayerNorm's own scale


def test_ridge_finds_a_linear_map():
    x = _states(500, 6, rank=6)
    weight, bias = ridge(x, x @ torch.arange(12.0, dtype=torch.float64).reshape(6, 2) + 5)
    predicted = x @ weight.T + bias
    wanted = x @ torch.arange(12.0, dtype=torch.float64).reshape(6, 2) + 5
    assert (predicted - wanted).var() < 0.01 * wanted.var()


def test_reduced_heads_keep_scores_of_low_rank():
    q, k, v = _states(50, 8, 4, 1) - 3, _states(50, 8, 4, 2), _states(50, 8, 4, 3)
    q, k = (torch.cat([part[:, :2], part[:, :2], part[:, 4:6], part[:, 4:6]], 1) for part in (q, k))  # rank 2 a head
    small_q, small_k, _ = _reduced_heads(q, k, v, torch.eye(8, dtype=torch.float64), heads=2, size=2)
    for head in range(2):
        large = slice(4 * head, 4 * head + 4)
        small = slice(2 * head, 2 * head + 2)
        wanted = q[:, large] @ (k - k.mean(0))[:, large].T / 4**0.5
        torch.testing.assert_close(small_q[:, small] @ small_k[:, small].T / 2**0.5, wanted, rtol=1e-6, atol=1e-6)


def test_residual_block_that_can_give_its_target_does():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.dense = nn.Linear(6, 8)
            self.LayerNorm = nn.LayerNorm(8, eps=1e-12)

    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2000, 6, generator=generator, dtype=torch.float64)
    residual = torch.randn(2000, 8, generator=generator, dtype=torch.float64)
    map_ = torch.randn(6, 8, generator=generator, dtype=torch.float64)
    target = nn.functional.layer_norm(inputs @ map_ + residual, (8,))
    block = Block().double()
    with torch.no_grad():
        given = _fit_residual(block, inputs, residual, target)
        again = block.LayerNorm(block.dense(inputs) + residual)
    torch.testing.assert_close(given, again)
    assert (given - target).square().mean() < 0.1 * target.var()


def test_captured_sees_real_tokens_only(pico_encoder, pico_batches):
    model = pico_encoder()
    batches = pico_batches()
    layer = model.encoder.layer[0]
    seen = captured(model, batches, {"in": (layer, "input"), "out": (layer, "output")}, torch.no_grad)
    real = sum(int(batch["attention_mask"].sum()) for batch in batches)
    assert seen["in"].shape == seen["out"].shape == (real, 8)
    assert not layer._forward_hooks
