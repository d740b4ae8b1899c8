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


def test_seeds_that_agree_do_not_hide_what_the_examples_tell():
    """All seeds alike: their number says nothing, and p is that of the examples alone."""
    rng = np.random.default_rng(4)
    differences = rng.normal(0, 1, 500)
    differences += 3 / np.sqrt(500) - differences.mean()  # three standard errors from nothing
    p = p_value(dict.fromkeys(SEEDS, differences.mean()), differences, Sampling("rte", 500, SEEDS, 40_000))
    assert 0.9 * 2 * stats.norm.sf(3 / differences.std(ddof=1)) < p < 0.008


def test_with_both_uncertain_it_is_right_as_often_as_it_says():
    """Seeds and examples of like weight, and no difference: p is below a level about as often as the level says."""
    rng = np.random.default_rng(6)
    sampling = Sampling("rte", 300, SEEDS, 500)
    found = []
    for _ in range(400):
        seeds, examples = rng.normal(0, 1 / np.sqrt(25), 12), rng.normal(0, 1, 300)
        cells = seeds[:, None] + examples[None] + rng.normal(0, 1, (12, 300))
        found.append(p_value(dict(zip(SEEDS, cells.mean(axis=1), strict=True)), cells.mean(axis=0), sampling))
    for level in (0.05, 0.2):
        assert level * 0.4 < np.mean(np.array(found) <= level) < level * 1.5


def test_no_difference_is_so_large_that_its_p_value_is_nothing():
    """The observed signs are one of the draws, so that few draws make no proof (Phipson and Smyth 2010)."""
    values = dict.fromkeys(SEEDS, 1.0)
    sampling = Sampling("rte", 500, SEEDS, 20)
    assert p_value(values, np.random.default_rng(0).normal(1, 0.1, 500), sampling) == 1 / 21
    assert p_value(dict.fromkeys(SEEDS, 0.0), np.zeros(500), sampling) == 1.0
