import pytest
import torch

from graft.merging.moments import Moments, total


@pytest.fixture
def activations():
    generator = torch.Generator().manual_seed(3)
    small = torch.randn(50, 4, generator=generator, dtype=torch.float64) + 2
    return small, small @ torch.randn(4, 6, generator=generator, dtype=torch.float64) - 1


def _same(found, expected):
    for name, value in vars(expected).items():
        torch.testing.assert_close(torch.as_tensor(getattr(found, name)), torch.as_tensor(value), rtol=1e-12, atol=1e-9)


def test_adding_in_place_is_the_sum_of_the_parts(activations):
    small, large = activations
    parts = [Moments.of(small[rows], large[rows], grams=True) for rows in (slice(0, 20), slice(20, 50))]
    expected = total(parts)
    _same(Moments.of(small[:20], large[:20], grams=True).added(small[20:], large[20:]), expected)
    _same(expected, Moments.of(small, large, grams=True))


@pytest.mark.parametrize("grams", [True, False])
def test_what_linear_layers_make_of_activations_follows_without_them(activations, grams):
    generator = torch.Generator().manual_seed(4)
    layers = [
        (torch.randn(3, width, generator=generator).double(), torch.randn(3, generator=generator).double())
        for width in (4, 6)
    ]
    made = [x @ weight.T + bias for x, (weight, bias) in zip(activations, layers, strict=True)]
    found = Moments.of(*activations, grams).through(*layers)
    expected = Moments.of(*made, grams)
    assert (found.gram_small is None) == (not grams)
    for name in ("small", "large", "cross") + (("gram_small", "gram_large") if grams else ()):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-10, atol=1e-9)
