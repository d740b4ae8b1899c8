import pytest
import torch
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import StandardScaler

from graft.merging.classifier_heads import ridge

torch.manual_seed(0)
X = torch.randn(60, 7, dtype=torch.float64) * torch.tensor([1, 10, 0.1, 3, 1, 1, 5]) + 4
Y = X @ torch.randn(7, 3, dtype=torch.float64) + torch.randn(60, 3, dtype=torch.float64) + 2


@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize("size", [1e-6, 0.01, 0.3, 10.0])
def test_fit_equals_scikit_learns_ridge_on_standardised_features(outputs, size):
    targets = Y[:, :outputs]
    standard = StandardScaler().fit_transform(X.numpy())
    peer = Ridge(alpha=size * len(X)).fit(standard, targets.numpy()).predict(standard).reshape(len(X), -1)
    torch.testing.assert_close(ridge.fit(X, targets, [size])[size](X), torch.from_numpy(peer), rtol=1e-9, atol=1e-9)


def test_size_zero_is_least_squares():
    peer = LinearRegression().fit(X.numpy(), Y.numpy()).predict(X.numpy())
    torch.testing.assert_close(ridge.fit(X, Y, [0.0])[0.0](X), torch.from_numpy(peer), rtol=1e-9, atol=1e-9)


def test_all_sizes_at_once_equal_each_alone():
    together = ridge.fit(X, Y, [0.1, 1.0])
    for size, map_ in together.items():
        torch.testing.assert_close(map_.weight, ridge.fit(X, Y, [size])[size].weight, rtol=0, atol=0)


def test_a_constant_feature_gets_no_weight_and_changes_nothing():
    constant = torch.cat([X, torch.full((60, 1), 0.1, dtype=torch.float64)], dim=1)
    for size in (0.0, 0.1):
        fitted = ridge.fit(constant, Y, [size])[size]
        assert fitted.weight[:, -1].abs().max() == 0
        torch.testing.assert_close(fitted(constant), ridge.fit(X, Y, [size])[size](X))


@pytest.mark.parametrize("scale", [1e-9, 1e-32])
def test_a_unit_that_is_dead_but_for_its_rounding_gets_no_weight(scale):
    dead = torch.cat([X, scale * (1 + torch.randn(60, 1, dtype=torch.float64))], dim=1)
    fitted = ridge.fit(dead, Y, [0.1])[0.1]
    assert fitted.weight[:, -1].abs().max() == 0
    torch.testing.assert_close(fitted(dead), ridge.fit(X, Y, [0.1])[0.1](X))
    torch.testing.assert_close(fitted(dead.half()).double(), fitted(dead), rtol=0.05, atol=0.5)


def test_a_feature_given_twice_and_fewer_rows_than_features_still_fit():
    twice = torch.cat([X, X], dim=1)
    torch.testing.assert_close(ridge.fit(twice, Y, [0.0])[0.0](twice), ridge.fit(X, Y, [0.0])[0.0](X))
    few = ridge.fit(twice[:5], Y[:5], [0.0])[0.0]
    torch.testing.assert_close(few(twice[:5]), Y[:5], rtol=1e-7, atol=1e-7)


def test_float32_features_are_fitted_in_float64():
    assert ridge.fit(X.float(), Y.float(), [0.1])[0.1].weight.dtype == torch.float64


@pytest.mark.parametrize(
    ("features", "targets", "message"),
    [(X, Y[:-1], "equal numbers of rows"), (X[:1], Y[:1], "at least 2"), (X * float("inf"), Y, "finite")],
)
def test_bad_input_is_refused(features, targets, message):
    with pytest.raises(ValueError, match=message):
        ridge.fit(features, targets, [0.1])


@pytest.mark.parametrize("columns", [slice(0, 7), slice(2, 5)])
def test_moments_added_in_batches_give_the_maps_of_all_rows(columns):
    features = torch.cat([X[:, :3], torch.full((60, 1), 0.1, dtype=torch.float64), 1e6 + X[:, 3:]], dim=1).float()
    moments = ridge.Moments()
    for rows in torch.arange(60).split(11):
        moments.add(features[rows], Y[rows])
    expected = ridge.fit(features[:, columns], Y, [0.0, 0.1, 1.0])
    for size, map_ in moments.maps(columns, expected).items():
        own = features[:, columns].double()
        torch.testing.assert_close(map_(own), expected[size](own), rtol=1e-6, atol=1e-6)


def test_moments_of_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="must be finite"):
        ridge.Moments().add(torch.full((3, 2), float("nan")), torch.zeros(3, 1))
