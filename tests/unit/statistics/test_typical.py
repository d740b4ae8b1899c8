import numpy as np
import pytest
from scipy import stats
from scipy.stats import mstats

from graft.statistics import typical


@pytest.mark.parametrize("n", [1, 2, 4, 5, 12, 15, 20])
def test_it_is_the_mean_without_a_fifth_at_either_end(n):
    values = np.random.default_rng(n).normal(size=n)
    assert values[typical.middle(values)].mean() == pytest.approx(stats.trim_mean(values, 0.2))


def test_its_error_is_yuens():
    """Scipy has it as Welch's test of two trimmed samples; of one twice, the variance is that of both."""
    values = np.random.default_rng(0).normal(size=12)
    found = stats.ttest_ind(values, values + 1, trim=0.2, equal_var=False)
    assert -1 / found.statistic == pytest.approx(np.sqrt(2 * np.sum(typical.errors(values) ** 2)))
    winsorised = np.asarray(mstats.winsorize(values, (0.2, 0.2)))
    assert np.sum(typical.errors(values) ** 2) == pytest.approx(11 * winsorised.var(ddof=1) / (8 * 7))


def test_of_few_values_it_is_the_mean_and_its_standard_error():
    values = np.array([0.1, 0.4, 0.2, 0.9])
    assert typical.middle(values).all()
    assert np.sqrt(np.sum(typical.errors(values) ** 2)) == pytest.approx(stats.sem(values))


def test_a_failed_run_moves_neither():
    values = np.linspace(0.9, 0.92, 12)
    failed = np.where(np.arange(12) == 0, 0.5, values)
    assert np.array_equal(typical.middle(values), typical.middle(failed))
    assert np.array_equal(typical.errors(values), typical.errors(failed))


def test_equal_values_and_a_single_one_have_no_error():
    assert (
        typical.errors(np.full(12, 0.3)) == pytest.approx(0, abs=1e-15) and typical.middle(np.full(12, 0.3)).sum() == 8
    )
    assert not typical.errors(np.array([0.3])).any()


@pytest.mark.parametrize("n", [5, 12, 20])
def test_tests_of_typical_values_err_as_often_as_they_say(n):
    rng = np.random.default_rng(n)
    draws = rng.normal(size=(20_000, n))
    errors = np.array([np.sqrt(np.sum(typical.errors(values) ** 2)) for values in draws])
    found = np.abs(stats.trim_mean(draws, 0.2, axis=1)) / errors
    for level in (0.05, 0.01):
        wrong = np.mean(found > stats.t.isf(level / 2, typical.freedom(n)))
        assert 0.7 * level < wrong < 1.15 * level
