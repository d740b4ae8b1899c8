import numpy as np
import pytest
from scipy import stats

from graft.statistics.sampling import Sampling

SEEDS = ["0", "1", "2", "3", "4"]


def test_a_draw_takes_as_many_examples_as_there_are():
    weights = Sampling("rte", 50, SEEDS, 300).weights
    assert weights.shape == (50, 300) and np.all(weights.sum(axis=0) == 50)
    assert weights.mean(axis=1) == pytest.approx(1, abs=0.25) and weights.var() == pytest.approx(0.98, abs=0.05)


def test_draws_are_of_the_task_alone():
    first, same, other = (Sampling(task, 20, SEEDS, 10) for task in ("rte", "rte", "sst2"))
    assert np.array_equal(first.weights, same.weights) and not np.array_equal(first.weights, other.weights)


def test_the_mean_over_seeds_moves_as_students_t_says():
    values = dict(zip(SEEDS, (0.1, 0.4, 0.2, 0.9, 0.3), strict=True))
    moved = Sampling("rte", 20, SEEDS, 200_000).of_mean(values)
    spread = np.std(list(values.values()), ddof=1) / np.sqrt(5)
    for q in (0.025, 0.25, 0.9, 0.975):
        assert np.quantile(moved, q) == pytest.approx(spread * stats.t.ppf(q, 4), rel=0.03)


def test_what_two_systems_share_by_seed_cancels_in_their_difference():
    sampling = Sampling("rte", 20, SEEDS, 1000)
    one = dict(zip(SEEDS, (0.1, 0.4, 0.2, 0.9, 0.3), strict=True))
    other = {seed: value - 0.25 for seed, value in one.items()}
    assert sampling.of_mean(one) - sampling.of_mean(other) == pytest.approx(0, abs=1e-12)


def test_one_seed_says_nothing_of_others():
    assert not Sampling("rte", 20, SEEDS, 10).of_mean({"1": 0.3}).any()


def test_runs_are_drawn_with_replacement():
    found = Sampling("rte", 4, SEEDS, 10).runs(5)
    assert found.shape == (1000, 2, 5) and set(np.unique(found)) == set(range(5))
    assert np.array_equal(found, Sampling("rte", 4, SEEDS, 10).runs(5)) and len({*found[0, 0]}) < 6
