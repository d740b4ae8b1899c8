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
