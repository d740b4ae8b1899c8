import numpy as np
import pytest
from scipy import stats

from graft.statistics.crossed import Crossed

N, SEEDS = 200, 6
RNG = np.random.default_rng(1)
LABELS = RNG.integers(0, 2, N)


def told(accuracy, seeds=SEEDS, rng=RNG):
    """Class ids that are right with this probability."""
    return {str(s): np.where(rng.random(N) < accuracy, LABELS, 1 - LABELS) for s in range(seeds)}


@pytest.fixture(scope="module")
def task():
    systems = {"large": told(0.8), "merge": told(0.7), "few": told(0.7, 2), "one": told(0.7, 1)}
    systems |= {"constant": {"all": np.zeros(N, int)}, "same": {}}
    systems["same"] = dict(systems["large"])
    return Crossed("rte", "accuracy", LABELS, systems, draws=4000)


def right(task, system):
    rows = [task._predictions[task._at[system, seed]] == LABELS for seed in task.seeds_of(system)]
    return np.array(rows, float)


def test_a_mean_is_that_of_its_seeds(task):
    estimate = task.of_mean("large")
    assert estimate.mean == pytest.approx(right(task, "large").mean()) and estimate.n_seeds == SEEDS
    assert estimate.sd == pytest.approx(right(task, "large").mean(axis=1).std(ddof=1))


def test_the_interval_for_these_examples_is_students_over_seeds(task):
    values = right(task, "merge").mean(axis=1) - right(task, "large").mean(axis=1)
    low, high = stats.t.interval(0.95, SEEDS - 1, values.mean(), stats.sem(values))
    assert task.of_difference("merge", "large").these == pytest.approx((low, high))


def test_the_interval_for_new_examples_adds_what_examples_are_uncertain_by(task):
    """By the formula for two independent errors, of which one is Student's: a draw of each, added up."""
    right_by_example = right(task, "merge").mean(axis=0) - right(task, "large").mean(axis=0)
    values = right(task, "merge").mean(axis=1) - right(task, "large").mean(axis=1)
    rng = np.random.default_rng(5)
    drawn = values.mean() + stats.sem(values) * rng.standard_t(SEEDS - 1, 200_000)
    drawn = drawn + stats.sem(right_by_example) * rng.standard_normal(200_000)
    difference = task.of_difference("merge", "large")
    assert difference.new == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.004)
    assert difference.inner == pytest.approx(np.quantile(drawn, [0.05, 0.95]), abs=0.004)
    assert difference.example_variance == pytest.approx(right_by_example.var(ddof=1))
    assert difference.seed_variance == pytest.approx(values.var(ddof=1))


def test_a_run_for_all_seeds_is_uncertain_by_its_examples_alone(task):
    estimate, share = task.of_mean("constant"), (LABELS == 0).mean()
    assert estimate.these == (estimate.mean, estimate.mean) and estimate.sd is None
    half = 1.96 * np.sqrt(share * (1 - share) / N)
    assert estimate.new == pytest.approx((share - half, share + half), abs=0.006)
    assert task.of_difference("constant", "large").n_seeds == SEEDS


def test_one_seed_of_several_has_no_interval(task):
    for estimate in (task.of_mean("one"), task.of_difference("one", "large")):
        assert estimate.n_seeds == 1 and estimate.new is None and estimate.these is None
    difference = task.of_difference("one", "large")
    assert difference.p_value is None and difference.inner is None


def test_seeds_that_one_of_both_lacks_are_left_out(task):
    difference = task.of_difference("few", "large")
    assert difference.n_seeds == 2
    assert difference.mean == pytest.approx((right(task, "few") - right(task, "large")[:2]).mean())


def test_equal_predictions_do_not_differ(task):
    difference = task.of_difference("same", "large")
    assert (difference.mean, difference.new, difference.p_value) == (0, (0, 0), 1)


def test_without_runs_there_is_no_estimate(task):
    assert task.of_mean("absent") is None and task.of_difference("absent", "large") is None


def test_no_interval_leaves_what_the_metric_can_be():
    rng = np.random.default_rng(2)
    two = {"0": LABELS, "1": np.where(rng.random(N) < 0.7, LABELS, 1 - LABELS)}
    low, high = Crossed("rte", "accuracy", LABELS, {"s": two}, draws=1000).of_mean("s").new
    assert (low, high) == (0, 1)


def test_predictions_of_other_examples_are_reported():
    with pytest.raises(ValueError, match="rte s seed 0: 3 predictions for 200 examples; evaluate it again"):
        Crossed("rte", "accuracy", LABELS, {"s": {"0": np.zeros(3, int)}})


def test_the_influence_of_an_example_on_a_correlation_is_what_leaving_it_out_takes_away():
    rng = np.random.default_rng(3)
    labels = rng.normal(size=40)
    made = Crossed("stsb", "pearson", labels, {"s": {"0": labels + rng.normal(size=40)}}, draws=10)
    (values,) = made._predictions
    whole = np.corrcoef(values, labels)[0, 1]
    for i in (0, 17):
        left = np.corrcoef(np.delete(values, i), np.delete(labels, i))[0, 1]
        assert made._influence[0, i] == pytest.approx(39 * (whole - left), abs=1e-4)
