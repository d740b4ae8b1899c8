import numpy as np
import pytest
from scipy import stats

from graft.statistics.crossed import SEEDS_FOR_INTERVAL, SEEDS_FOR_TEST, Crossed

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


@pytest.mark.parametrize("seeds", [1, SEEDS_FOR_INTERVAL - 1, SEEDS_FOR_INTERVAL, SEEDS_FOR_TEST - 1, SEEDS_FOR_TEST])
def test_few_seeds_have_no_interval_and_some_more_no_p_value(seeds):
    systems = {"one": told(0.7, seeds), "other": told(0.8, seeds), "constant": {"all": np.zeros(N, int)}}
    made = Crossed("rte", "accuracy", LABELS, systems, draws=100)
    for of in (made.of_mean("one"), made.of_difference("one", "other"), made.of_difference("constant", "other")):
        assert of.n_seeds == seeds
        assert (of.new is None) == (of.these is None) == (seeds < SEEDS_FOR_INTERVAL)
    # Of examples alone, but in a table where all others have none it would look more certain than they are.
    assert (made.of_mean("constant").new is None) == (seeds < SEEDS_FOR_INTERVAL)
    for difference in (made.of_difference("one", "other"), made.of_difference("constant", "other")):
        assert (difference.inner is None) == (seeds < SEEDS_FOR_INTERVAL)
        assert (difference.p_value is None) == (seeds < SEEDS_FOR_TEST)


def test_seeds_that_one_of_both_lacks_are_left_out(task):
    difference = task.of_difference("few", "large")
    assert difference.n_seeds == 2
    assert difference.mean == pytest.approx((right(task, "few") - right(task, "large")[:2]).mean())


def test_equal_predictions_do_not_differ(task):
    difference = task.of_difference("same", "large")
    assert (difference.mean, difference.new) == (0, (0, 0))
    many = told(0.8, SEEDS_FOR_TEST)
    made = Crossed("rte", "accuracy", LABELS, {"one": many, "same": many}, draws=100)
    assert made.of_difference("one", "same").p_value == 1


def test_without_runs_there_is_no_estimate(task):
    assert task.of_mean("absent") is None and task.of_difference("absent", "large") is None


def test_no_interval_leaves_what_the_metric_can_be():
    some = {str(s): LABELS if s else 1 - LABELS for s in range(SEEDS_FOR_INTERVAL)}
    low, high = Crossed("rte", "accuracy", LABELS, {"s": some}, draws=1000).of_mean("s").new
    assert 0 < low < high == 1


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
