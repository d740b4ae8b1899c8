import numpy as np
import pytest

from graft.tasks import scores


def test_f1_is_of_class_one_and_macro_over_all_classes():
    x, y = np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2])
    assert scores.values(x, y, ["f1_macro"], "classes")["f1_macro"] == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    # The same classes seen or not in a draw, the same formula.
    assert scores.values(np.array([0, 1]), np.array([1, 1]), ["f1"], "classes")["f1"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [("accuracy", 0.75), ("f1", 0.8), ("f1_macro", (0.8 + 2 / 3) / 2), ("matthews_correlation", 3**-0.5)],
)
def test_metrics_of_classes_by_hand(name, value):
    told, labels = np.array([0, 1, 1, 1]), np.array([0, 1, 0, 1])
    assert scores.values(told, labels, [name], "classes") == {name: pytest.approx(value)}


@pytest.mark.parametrize("told", [[1.0, 1.0, 1.0], [0.1, 0.5, 0.7]])
def test_a_constant_ranks_nothing_on_either_side(told):
    for one, other in ((told, [2.0, 2.0, 2.0]), ([2.0, 2.0, 2.0], told)):
        assert scores.values(np.array(one), np.array(other), ["correlation"], "score") == {"correlation": 0.0}


def test_every_metric_agrees_with_a_second_way():
    """Against numpy's own arithmetic: counts of a confusion matrix, and products of centred values and ranks."""
    rng = np.random.default_rng(0)
    told, labels = rng.integers(0, 3, 500), rng.integers(0, 3, 500)
    counts = np.histogram2d(labels, told, bins=(3, 3))[0]
    right, given, said = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    # Gorodkin's R_K, which is Matthews correlation for more than two classes.
    top = right.sum() * 500 - given @ said
    expected = {
        "accuracy": right.sum() / 500,
        "f1_macro": np.mean(2 * right / (given + said)),
        "matthews_correlation": top / np.sqrt((500**2 - said @ said) * (500**2 - given @ given)),
    }
    assert scores.values(told, labels, list(expected), "classes") == pytest.approx(expected)
    two = scores.values(told == 1, labels == 1, ["f1"], "classes")
    assert two == {"f1": pytest.approx(2 * right[1] / (given + said)[1])}

    numbers = rng.standard_normal((2, 400)).cumsum(axis=1)
    centred = numbers - numbers.mean(axis=1, keepdims=True)
    ranks = numbers.argsort(axis=1).argsort(axis=1) - 199.5
    pearson, spearman = (x[0] @ x[1] / np.sqrt((x[0] @ x[0]) * (x[1] @ x[1])) for x in (centred, ranks))
    expected = {"pearson": pearson, "spearman": spearman, "correlation": (pearson + spearman) / 2}
    assert scores.values(*numbers, list(expected), "score") == pytest.approx(expected)
