import numpy as np
import pytest
from scipy import stats

from graft.statistics.sampling import Sampling
from graft.statistics.sign_flips import p_value

SEEDS = [str(s) for s in range(12)]


def test_with_examples_alone_it_is_the_usual_paired_test():
    rng = np.random.default_rng(0)
    for shift in (0.0, 0.1, 0.3):
        differences = rng.normal(shift, 1, 150)
        ours = p_value({"all": differences.mean()}, differences, Sampling("rte", 150, [], 20_000))
        theirs = stats.permutation_test(
            (differences,), np.mean, permutation_type="samples", n_resamples=20_000, rng=np.random.default_rng(1)
        ).pvalue
        assert ours == pytest.approx(theirs, abs=0.015)


def test_with_seeds_alone_it_is_the_usual_paired_test():
    """Where all examples do the same, they tell nothing apart: only seeds do."""
    rng = np.random.default_rng(2)
    values = dict(zip(SEEDS, rng.normal(0.5, 1, 12), strict=True))
    mean = np.mean(list(values.values()))
    n = 2000
    ours = p_value(values, np.full(n, mean), Sampling("rte", n, SEEDS, 20_000))
    theirs = stats.permutation_test(
        (np.array(list(values.values())),), np.mean, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert ours == pytest.approx(theirs, abs=0.02)


def test_a_difference_that_every_seed_and_example_has_is_as_sure_as_draws_allow():
    sampling = Sampling("rte", 400, SEEDS, 1000)
    assert p_value(dict.fromkeys(SEEDS, 0.1), np.full(400, 0.1), sampling) < 0.01


def test_no_difference_at_all_is_never_significant():
    assert p_value(dict.fromkeys(SEEDS, 0.0), np.zeros(50), Sampling("rte", 50, SEEDS, 200)) == 1


def test_seeds_that_disagree_are_not_outvoted_by_many_examples():
    """Each seed moves all its examples together: that they are many makes nothing surer."""
    sampling = Sampling("rte", 5000, SEEDS, 2000)
    values = dict(zip(SEEDS, [0.1] * 7 + [-0.09] * 5, strict=True))
    assert p_value(values, np.full(5000, np.mean(list(values.values()))), sampling) > 0.3
