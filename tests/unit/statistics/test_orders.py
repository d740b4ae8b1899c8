import numpy as np
import pytest
from scipy import stats

from graft.statistics.orders import _violation, order

ONE = np.array([0.91, 0.92, 0.915, 0.93, 0.925, 0.918, 0.922, 0.935, 0.91, 0.927, 0.931, 0.919])
OTHER = np.array([0.90, 0.925, 0.91, 0.92, 0.915, 0.905, 0.93, 0.91, 0.92, 0.912, 0.908, 0.921])
FEW, OTHER_FEW = np.array([0.6, 0.7, 0.8, 0.9, 0.65]), np.array([0.62, 0.71, 0.75, 0.84, 0.66])


def drawn(n, draws=300):
    """Runs as deep-significance draws them: from the sorted ones, with a seed of its own for each draw."""
    found = []
    for seed in range(1, draws + 1):
        rng = np.random.RandomState(seed)
        found.append([np.ceil(n * rng.uniform(0, 1, n)).astype(int) - 1 for _ in range(2)])
    return np.array(found)


@pytest.mark.parametrize(
    ("values", "others", "violation", "epsilon"),
    [(ONE, OTHER, 0.0, 0.13326), (FEW, OTHER_FEW, 0.08952, 0.73979), (OTHER_FEW, FEW, 0.91033, 1.0)],
)
def test_almost_stochastic_order_is_that_of_deep_significance(values, others, violation, epsilon):
    """Its numbers, by deepsig 1.2.8: aso(values, others, seed=0, num_bootstrap_iterations=300, dt=0.002).

    It integrates over a grid, of which it leaves out the first point, so that it is exact to a few thousandths.
    """
    assert _violation(values, others) == pytest.approx(violation, abs=2e-4)
    found = order(np.sort(values), np.sort(others), 0.95, drawn(len(values)))
    assert found.epsilon == pytest.approx(epsilon, abs=1e-3)


def test_the_probability_of_improvement_is_mann_and_whitneys():
    found = order(ONE, OTHER, 0.95, drawn(12))
    assert found.probability == pytest.approx(stats.mannwhitneyu(ONE, OTHER).statistic / 144)
    assert 0.4 < found.low < found.probability < found.high < 1


def test_its_interval_holds_the_truth():
    rng, held = np.random.default_rng(0), 0
    truth = stats.norm.cdf(0.7 / np.sqrt(2))
    for _ in range(400):
        found = order(rng.normal(0.7, 1, 12), rng.normal(0, 1, 12), 0.95, drawn(12, 1))
        held += found.low <= truth <= found.high
    assert held / 400 > 0.92


def test_where_every_run_is_better_that_is_not_certain():
    better, worse = order(ONE + 1, OTHER, 0.95, drawn(12)), order(OTHER, ONE + 1, 0.95, drawn(12))
    assert better[:3] == (1.0, pytest.approx(0.025 ** (1 / 12)), 1.0) and better.epsilon == 0
    assert worse[:3] == (0.0, 0.0, pytest.approx(1 - 0.025 ** (1 / 12))) and worse.epsilon == 1


def test_equal_runs_are_neither_better_nor_worse():
    found = order(np.full(12, 0.9), np.full(12, 0.9), 0.95, drawn(12))
    assert found == (0.5, 0.5, 0.5, 0.5)
