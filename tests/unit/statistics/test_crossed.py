import numpy as np
import pytest
from scipy import stats
from scipy.stats import mstats

from graft.statistics.crossed import SEEDS_FOR_INTERVAL, SEEDS_FOR_TEST, Crossed

N, SEEDS = 200, 6
RNG = np.random.default_rng(1)
FREEDOM = 0.85 * (SEEDS - 2 - 1)
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


def of_typical(task):
    """The typical difference of merge and large, its error over seeds, and the variance that examples add."""
    differences = right(task, "merge") - right(task, "large")
    kept = np.argsort(differences.mean(axis=1), kind="stable")[1:-1]
    winsorised = mstats.winsorize(differences.mean(axis=1), (0.2, 0.2)).data
    error = np.sqrt((SEEDS - 1) * winsorised.var(ddof=1) / (len(kept) * (len(kept) - 1)))
    own = differences[kept] - differences[kept].mean(axis=1, keepdims=True)
    alone = own.var(axis=0, ddof=1).mean() / len(kept)
    return stats.trim_mean(differences.mean(axis=1), 0.2), error, own.mean(axis=0).var(ddof=1) - alone


def test_a_difference_is_that_of_typical_runs_with_yuens_interval_for_these_examples(task):
    found, error, _ = of_typical(task)
    difference = task.of_difference("merge", "large")
    assert difference.typical == pytest.approx(found)
    assert difference.these == pytest.approx(stats.t.interval(0.95, FREEDOM, found, error), rel=0.01)


def test_the_interval_for_new_examples_adds_what_examples_are_uncertain_by(task):
    """By a draw of each, added up."""
    found, error, by_example = of_typical(task)
    rng = np.random.default_rng(5)
    drawn = found + error * rng.standard_t(FREEDOM, 400_000)
    drawn = drawn + np.sqrt(by_example / N) * rng.standard_normal(400_000)
    difference = task.of_difference("merge", "large")
    assert difference.new == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.002)
    assert difference.inner == pytest.approx(np.quantile(drawn, [0.05, 0.95]), abs=0.002)
    assert difference.example_variance == pytest.approx(by_example)
    assert difference.seed_variance == pytest.approx(SEEDS * error**2)


def test_where_seeds_agree_p_is_that_of_the_paired_test_over_examples():
    once, other = told(0.8, 1)["0"], told(0.7, 1)["0"]
    systems = {"one": dict.fromkeys(map(str, range(12)), once), "other": dict.fromkeys(map(str, range(12)), other)}
    difference = Crossed("rte", "accuracy", LABELS, systems, draws=1).of_difference("one", "other")
    test = stats.ttest_rel((once == LABELS).astype(float), (other == LABELS).astype(float))
    assert difference.p_value == pytest.approx(2 * stats.norm.sf(abs(test.statistic)), rel=1e-3)
    assert difference.new == pytest.approx(test.confidence_interval(0.95), abs=0.001)


def test_p_and_interval_agree():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        systems = {"one": told(0.75, 12, rng), "other": told(0.74, 12, rng)}
        difference = Crossed("rte", "accuracy", LABELS, systems, draws=1).of_difference("one", "other")
        assert (difference.p_value <= 0.05) == (not difference.new[0] <= 0 <= difference.new[1])


def test_a_failed_run_changes_no_difference_and_is_counted():
    # Of which six are right more often, so that the failed one is left out of either.
    systems = {"one": told(0.85, 12), "other": told(0.8, 12)}
    failed = systems | {"one": systems["one"] | {"3": np.zeros(N, int)}}
    made, other = (Crossed("rte", "accuracy", LABELS, of, draws=100) for of in (systems, failed))
    one, two = (of.of_difference("one", "other") for of in (made, other))
    assert two.typical == pytest.approx(one.typical, abs=0.02) and two.p_value < 4 * one.p_value + 0.01
    found, clean = other.of_mean("one"), made.of_mean("one")
    assert (clean.failed, found.failed) == (0, 1) and other.floor == max(LABELS.mean(), 1 - LABELS.mean())
    assert found.mean < found.typical - 0.02
    for estimate in (clean, found):
        exact = stats.binomtest(estimate.failed, 12, alternative="less").proportion_ci(0.95, "exact").high
        assert estimate.failed_high == pytest.approx(exact)
    assert clean.failed_high == pytest.approx(1 - 0.05 ** (1 / 12))


def test_a_single_draw_of_a_random_training_has_no_interval_and_no_p_value():
    systems = {"one": told(0.8, 12), "soup": {"all": told(0.7, 1)["0"]}}
    made = Crossed("rte", "accuracy", LABELS, systems, draws=100, single_draws={"soup"})
    assert made.of_mean("soup").mean > 0 and made.of_mean("soup").new is None
    for difference in (made.of_difference("soup", "one"), made.of_difference("one", "soup")):
        assert difference.new is difference.these is difference.inner is difference.p_value is None
    assert made.of_order("soup", "one") is None and made.of_mean("one").new is not None


def test_a_run_for_all_seeds_is_uncertain_by_its_examples_alone(task):
    estimate, share = task.of_mean("constant"), (LABELS == 0).mean()
    assert estimate.sd is None and estimate.typical == estimate.mean
    half = 1.96 * np.sqrt(share * (1 - share) / N)
    assert estimate.new == pytest.approx((share - half, share + half), abs=0.006)
    assert task.of_difference("constant", "large").n_seeds == SEEDS


def test_a_difference_of_two_runs_without_seeds_has_the_error_of_examples():
    systems = {"seeded": told(0.8), "constant": {"all": np.zeros(N, int)}, "probe": {"all": told(0.9, 1)["0"]}}
    difference = Crossed("rte", "accuracy", LABELS, systems, draws=100).of_difference("probe", "constant")
    own = (systems["probe"]["all"] == LABELS) * 1.0 - (LABELS == 0)
    half = 1.96 * own.std(ddof=1) / np.sqrt(N)
    assert difference.new == pytest.approx((own.mean() - half, own.mean() + half), rel=1e-3)
    assert difference.these == (difference.typical, difference.typical) and difference.p_value is None


@pytest.mark.parametrize("seeds", [1, SEEDS_FOR_INTERVAL - 1, SEEDS_FOR_INTERVAL, SEEDS_FOR_TEST - 1, SEEDS_FOR_TEST])
def test_few_seeds_have_no_interval_and_some_more_no_p_value(seeds):
    systems = {"one": told(0.7, seeds), "other": told(0.8, seeds), "constant": {"all": np.zeros(N, int)}}
    made = Crossed("rte", "accuracy", LABELS, systems, draws=100)
    for of in (made.of_mean("one"), made.of_difference("one", "other"), made.of_difference("constant", "other")):
        assert of.n_seeds == seeds
        assert (of.new is None) == (seeds < SEEDS_FOR_INTERVAL)
    # Of examples alone, but in a table where all others have none it would look more certain than they are.
    assert (made.of_mean("constant").new is None) == (seeds < SEEDS_FOR_INTERVAL)
    for difference in (made.of_difference("one", "other"), made.of_difference("constant", "other")):
        assert (difference.inner is None) == (difference.these is None) == (seeds < SEEDS_FOR_INTERVAL)
        assert (difference.p_value is None) == (seeds < SEEDS_FOR_TEST)


def test_seeds_that_one_of_both_lacks_are_left_out(task):
    difference = task.of_difference("few", "large")
    assert difference.n_seeds == 2
    assert difference.typical == pytest.approx((right(task, "few") - right(task, "large")[:2]).mean())


def test_equal_predictions_do_not_differ(task):
    difference = task.of_difference("same", "large")
    assert (difference.typical, difference.new) == (0, (0, 0))
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
