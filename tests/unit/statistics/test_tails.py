import numpy as np
import pytest
from scipy import stats

from graft.statistics.tails import beyond, half_width


@pytest.mark.parametrize("freedom", [1.7, 5.95, 9.35, 30.0])
def test_without_examples_it_is_students_distribution(freedom):
    for distance in (0.5, 1.2, 2.0):
        expected = 2 * stats.t.sf(distance / 0.3, freedom)
        assert beyond(distance, 0.3**2, freedom, 0.0) == pytest.approx(expected, rel=0.03 if freedom < 2 else 1e-3)
    assert half_width(0.95, 0.3**2, freedom, 0.0) == pytest.approx(0.3 * stats.t.ppf(0.975, freedom), rel=0.01)


@pytest.mark.parametrize("freedom", [0.0, 5.95])
def test_without_seeds_it_is_the_normal_distribution(freedom):
    assert beyond(0.5, 0.0, freedom, 0.04) == pytest.approx(2 * stats.norm.sf(2.5))
    assert half_width(0.9, 0.0, freedom, 0.04) == pytest.approx(0.2 * stats.norm.ppf(0.95))


def test_with_both_it_is_a_draw_of_each_added_up():
    rng = np.random.default_rng(0)
    drawn = np.abs(0.2 * rng.standard_t(5.95, 1_000_000) + 0.1 * rng.standard_normal(1_000_000))
    for distance in (0.1, 0.4, 0.8):
        assert beyond(distance, 0.04, 5.95, 0.01) == pytest.approx(np.mean(drawn > distance), abs=0.002)
    assert half_width(0.95, 0.04, 5.95, 0.01) == pytest.approx(np.quantile(drawn, 0.95), rel=0.01)


def test_without_any_error_there_is_only_no_difference():
    assert beyond(0.0, 0.0, 5.95, 0.0) == 1 and beyond(0.1, 0.0, 5.95, 0.0) == 0
    assert half_width(0.95, 0.0, 5.95, 0.0) == 0


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0, 4.0])
def test_it_errs_no_more_often_than_it_says_far_in_the_tails_too(share):
    """Student's error with a variance of its own: the estimate is chi-squared, and that of examples is known."""
    rng = np.random.default_rng(1)
    of_seeds = rng.chisquare(6, 10_000) / 6
    found = np.abs(rng.normal(size=10_000) * np.sqrt(1 + share))
    p = np.array([beyond(d, s, 6.0, share) for d, s in zip(found, of_seeds, strict=True)])
    for level in (0.05, 0.01, 0.0025):
        assert np.mean(p <= level) < level + 4 * np.sqrt(level / 10_000)
