import pytest
import torch

from graft.encoders.architecture import POSITION_BIASES
from graft.encoders.models import encoder_of
from graft.merging.calibration import calibrate
from graft.merging.heterogeneous.functional import maths as functional
from graft.merging.heterogeneous.functional.maths import Functional
from graft.merging.protocol import Parts
from graft.registry import depth, methods
from tests.unit.families import FAMILIES
from tests.unit.merging import relatives


@pytest.fixture
def related(pico_encoder, shape_of, pico_batches):
    """Parts whose right result is known."""

    def make(relative, family="bert", **options):
        small = pico_encoder(3, width=8, layers=2, heads=2, ffn=16, family=family)
        shape, before = shape_of(small), small.state_dict()
        generator = torch.Generator().manual_seed(9)
        after = {n: t + 0.1 * torch.randn(t.shape, generator=generator, dtype=t.dtype) for n, t in before.items()}
        # Biases of relative positions stay the large model's.
        after |= {n: t for n, t in before.items() if n == POSITION_BIASES}
        (large, large_shape), (expected, _) = relative(before, shape), relative(after, shape)
        depth_map = depth.uniform(shape.layers, large_shape.layers)
        batches = pico_batches(examples=60, size=20)
        statistics = calibrate(encoder_of(before, shape), encoder_of(large, large_shape), depth_map, batches)
        options = methods.checked_options("functional", {"fit_ridge": 0, "map_ridge": 0, **options})
        shapes = large_shape, shape
        return Parts(large, after, before, *shapes, depth_map, statistics, options, batches), expected

    return make


def states(body, shape, batches):
    with torch.no_grad():
        return torch.cat(
            [encoder_of(body, shape)(**batch).last_hidden_state[batch["attention_mask"].bool()] for batch in batches]
        )


@pytest.mark.parametrize(
    "relative",
    [relatives.identical, relatives.widened(2), relatives.permuted, relatives.turned],
    ids=["identical", "widened", "permuted", "turned"],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_large_model_that_computes_the_same_comes_to_compute_what_the_fine_tuned_small_one_does(
    family, relative, related, pico_batches
):
    parts, expected = related(relative, family)
    method = Functional()
    merged = method.apply(method.prepare(parts), 1.0)
    for batches in (parts.texts, pico_batches(seed=4)):
        found, wanted = (states(body, parts.large_shape, batches) for body in (merged, expected))
        # Positions are projected by weights that are fitted to contents, which lack one direction of their LayerNorm.
        tolerance = 2e-2 if parts.large_shape.kind.disentangled else 1e-7
        assert (found - wanted).norm() / wanted.norm() < tolerance


def test_without_the_correction_changes_would_count_twice(related, monkeypatch):
    parts, expected = related(relatives.identical)
    state = Functional().prepare(parts)
    refit = functional._refit_linears
    monkeypatch.setattr(
        functional, "_refit_linears", lambda linears, merged, plain, *rest: refit(linears, merged, merged, *rest)
    )
    found = states(Functional().apply(state, 1.0), parts.large_shape, parts.texts)
    wanted = states(expected, parts.large_shape, parts.texts)
    assert (found - wanted).norm() / wanted.norm() > 0.05


@pytest.mark.parametrize("ridge", [0.3, 5e-5], ids=["cholesky", "eigenvalues"])
@pytest.mark.parametrize("outputs", [(4, 3), (20, 9)], ids=["narrow", "wide"])
def test_refitted_layers_are_least_squares_of_all_tokens_at_once(outputs, ridge, monkeypatch):
    monkeypatch.setattr(functional, "GRAM_BLOCK", 5)
    monkeypatch.setattr(functional, "AT_A_TIME", 16)
    generator = torch.Generator().manual_seed(2)

    def random(*size):
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    tokens, inputs = 50, 17
    merged, plain = random(tokens, inputs) + 3, random(tokens, inputs)
    merged[:, 4] = 2.0  # a constant input, which no weight may read
    linears = [torch.nn.Linear(inputs, size, dtype=torch.float64).requires_grad_(False) for size in outputs]
    changes, exits = [random(tokens, 3), random(tokens, 6)], [random(3, outputs[0]), random(6, outputs[1])]
    before = [(linear.weight.clone(), linear.bias.clone()) for linear in linears]
    functional._refit_linears(linears, merged, plain, changes, exits, ridge)
    for linear, (weight, bias), change, exit in zip(linears, before, changes, exits, strict=True):
        wanted = change @ exit - (merged - plain) @ weight.T
        centred, spread = merged - merged.mean(0), merged.std(0, correction=0)
        # Ridge regression as least squares with a row for each input that asks for no change.
        rows = torch.cat([centred, (ridge * tokens) ** 0.5 * torch.diag(spread)])
        asked = torch.cat([wanted - wanted.mean(0), wanted.new_zeros(inputs, wanted.shape[1])])
        found = torch.linalg.lstsq(rows, asked, driver="gelsd").solution
        torch.testing.assert_close(linear.weight - weight, found.T)
        torch.testing.assert_close(linear.bias - bias, wanted.mean(0) - merged.mean(0) @ found)


def test_strength_zero_gives_the_large_model_and_strengths_are_continuous(related):
    parts, _ = related(relatives.widened(2), fit_ridge=0.01)
    method = Functional()
    state = method.prepare(parts)
    zero, little, same = (method.apply(state, s) for s in (0.0, 1e-6, 1e-6))
    for name, tensor in parts.large.items():
        assert torch.equal(zero[name], tensor) and torch.equal(little[name], same[name])
        torch.testing.assert_close(little[name], tensor, atol=1e-5, rtol=0)


def test_it_says_what_it_needs(related):
    from dataclasses import replace

    parts, _ = related(relatives.identical)
    with pytest.raises(ValueError, match="needs the moments of a calibration and texts"):
        Functional().prepare(replace(parts, texts=()))
