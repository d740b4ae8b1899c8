"""Every metric under weights equals the metric of the examples, each repeated that many times: against the formulas."""

import numpy as np
import pytest

from graft.registry.tasks import METRICS
from graft.statistics.weighted import _cumulative, metric_under
from graft.tasks import scores

RNG = np.random.default_rng(0)
N = 60
CLASSES = RNG.integers(0, 3, N), RNG.integers(0, 3, (4, N))
TWO = RNG.integers(0, 2, N), RNG.integers(0, 2, (4, N))
# Fifths, as STS-B has them: many are equal.
SCORES = RNG.integers(0, 26, N) / 5, np.round(RNG.normal(size=(4, N)), 1)
WEIGHTS = RNG.integers(0, 4, (N, 7))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_weight_counts_as_so_many_copies_of_an_example(metric, dtype):
    labels, told = SCORES if METRICS[metric] == "score" else TWO if metric == "f1" else CLASSES
    found = metric_under(metric, told, labels, WEIGHTS.astype(dtype))
    assert found.shape == (4, 7)
    for b, weights in enumerate(WEIGHTS.T):
        repeated = np.repeat(labels, weights)
        for r in range(4):
            expected = scores.FORMULAS[metric](np.repeat(told[r], weights), repeated)
            assert found[r, b] == pytest.approx(expected, abs=2e-6 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("metric", ["correlation", "pearson", "spearman"])
def test_a_correlation_with_constant_values_is_nothing(metric):
    labels, told = SCORES
    told = np.vstack([np.full(N, 0.1), told[0]])
    weights = np.zeros((N, 2), np.float32)
    weights[:, 0], weights[3, 1] = 1, N  # one example alone is constant too
    assert metric_under(metric, told, labels, weights)[:, 0].tolist()[0] == 0
    assert metric_under(metric, told, labels, weights)[:, 1].tolist() == [0, 0]


def test_one_class_for_all_has_no_matthews_correlation_and_no_f1():
    labels = TWO[0]
    constant = np.zeros((1, N), int)
    ones = np.ones((N, 1))
    assert metric_under("matthews_correlation", constant, labels, ones) == 0
    assert metric_under("f1", constant, labels, ones) == 0


@pytest.mark.parametrize("n", [1, 15, 16, 17, 100])
def test_cumulative_sums_are_numpys(n):
    x = RNG.integers(0, 4, (n, 3)).astype(np.float32)
    assert np.array_equal(_cumulative(x), np.cumsum(x, axis=0))
