import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from graft.merging.alignment import affine
from graft.merging.moments import Moments, read, total


@pytest.fixture
def activations():
    """Small [400, 5] and large [400, 7], related, with means and very different scales."""
    generator = torch.Generator().manual_seed(0)
    small = torch.randn(400, 5, generator=generator, dtype=torch.float64) * torch.tensor([1, 10, 0.1, 3, 1.0]) + 2
    mix = torch.randn(5, 7, generator=generator, dtype=torch.float64)
    return small, small @ mix + 0.3 * torch.randn(400, 7, generator=generator, dtype=torch.float64) - 5


def predict(maps, small, large):
    return (small - small.mean(0)) @ maps.forward + large.mean(0)


def test_without_ridge_it_is_ordinary_least_squares_with_intercept(activations):
    small, large = activations
    maps = affine.least_squares(Moments.of(small, large, grams=True), 0.0)
    with_ones = np.column_stack([small.numpy(), np.ones(len(small))])
    expected = with_ones @ np.linalg.lstsq(with_ones, large.numpy(), rcond=None)[0]
    np.testing.assert_allclose(predict(maps, small, large).numpy(), expected, atol=1e-9)


@pytest.mark.parametrize("ridge", [0.01, 1.0])
def test_with_ridge_it_is_scikit_learns_on_standardised_activations(ridge, activations):
    small, large = activations
    maps = affine.least_squares(Moments.of(small, large, grams=True), ridge)
    standard = StandardScaler().fit_transform(small.numpy())
    expected = Ridge(alpha=ridge * len(small)).fit(standard, large.numpy()).predict(standard)
    np.testing.assert_allclose(predict(maps, small, large).numpy(), expected, atol=1e-9)


def test_the_way_back_is_the_same_with_the_models_swapped(activations):
    small, large = activations
    there = affine.least_squares(Moments.of(small, large, grams=True), 0.1)
    back = affine.least_squares(Moments.of(large, small, grams=True), 0.1)
    torch.testing.assert_close(there.backward, back.forward)


def test_the_fit_never_gets_better_as_ridge_grows(activations):
    small, large = activations
    moments = Moments.of(small, large, grams=True)
    errors = [
        (predict(affine.least_squares(moments, r), small, large) - large).norm() for r in (0, 1e-3, 1e-2, 0.1, 1, 10)
    ]
    assert all(a <= b + 1e-9 for a, b in zip(errors, errors[1:], strict=False))


def test_constant_units_and_copies_do_no_harm(activations):
    small, large = activations
    padded = torch.cat([small, small, torch.full((400, 1), 3.0).double()], dim=1)
    maps = affine.least_squares(Moments.of(padded, large, grams=True), 0.0)
    plain = affine.least_squares(Moments.of(small, large, grams=True), 0.0)
    torch.testing.assert_close(maps.forward[:5], plain.forward / 2, atol=1e-8, rtol=0)
    assert (maps.forward[-1] == 0).all()


def test_procrustes_equals_scipys_for_equal_widths_and_scale_is_the_best_one():
    generator = torch.Generator().manual_seed(1)
    small = torch.randn(300, 6, generator=generator, dtype=torch.float64)
    large = 2.5 * small @ torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64)).Q + 4
    moments = Moments.of(small, large, grams=True)
    turn, _ = orthogonal_procrustes(small - small.mean(0), large - large.mean(0))
    np.testing.assert_allclose(affine.orthogonal(moments, scaled=False).forward, turn, atol=1e-9)
    scaled = affine.orthogonal(moments, scaled=True)
    torch.testing.assert_close(predict(scaled, small, large), large)
    torch.testing.assert_close(scaled.forward @ scaled.backward, torch.eye(6).double())


def test_pooled_moments_are_those_of_all_tokens_together_and_survive_a_file(activations):
    small, large = activations
    whole = Moments.of(small, large, grams=True)
    parts = total(Moments.of(small[i::3], large[i::3], grams=True) for i in range(3))
    stored = read(parts.tensors("here"), "here", 5, 7)
    for name, tensor in vars(whole).items():
        torch.testing.assert_close(torch.as_tensor(getattr(stored, name)), torch.as_tensor(tensor))


def test_unknown_alignments_and_missing_grams_are_told(activations):
    with pytest.raises(ValueError, match="no alignment is called 'cca'; available: least_squares"):
        affine.fit("cca", 0.0)
    with pytest.raises(ValueError, match="needs Gram matrices"):
        affine.least_squares(Moments.of(*activations, grams=False), 0.0)


def test_whitened_maps_carry_one_covariance_onto_the_other(activations):
    small, _ = activations
    generator = torch.Generator().manual_seed(2)
    large = small @ torch.randn(5, 5, generator=generator, dtype=torch.float64)
    large = large + torch.randn(large.shape, generator=generator, dtype=torch.float64)
    maps = affine.whitened(Moments.of(small, large, grams=True), 0.0)
    covariances = [torch.cov(x.T, correction=0) for x in (small, large)]
    torch.testing.assert_close(maps.forward.T @ covariances[0] @ maps.forward, covariances[1], rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(maps.forward @ maps.backward, torch.eye(5).double(), rtol=1e-8, atol=1e-8)


def test_whitened_maps_are_exact_where_one_model_is_a_linear_image_of_the_other(activations):
    small, _ = activations
    mix = torch.randn(5, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    moments = Moments.of(small, small @ mix, grams=True)
    maps = affine.whitened(moments, 0.0)
    torch.testing.assert_close(maps.forward, mix, rtol=1e-7, atol=1e-7)
    assert affine.missed(moments, maps) < 1e-9


def test_the_share_missed_is_that_of_the_activations_and_never_falls_as_ridge_grows(activations):
    small, large = activations
    moments = Moments.of(small, large, grams=True)
    shares = []
    for ridge in (0, 1e-3, 1e-2, 0.1, 1, 10):
        maps = affine.least_squares(moments, ridge)
        gap = predict(maps, small, large) - large
        share = gap.square().sum() / (large - large.mean(0)).square().sum()
        assert affine.missed(moments, maps) == pytest.approx(float(share), rel=1e-9)
        shares.append(float(share))
    assert all(a <= b + 1e-12 for a, b in zip(shares, shares[1:], strict=False))
