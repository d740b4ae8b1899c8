import numpy as np
import pytest

from graft.tasks import scores


def test_f1_is_of_class_one_and_macro_over_all_classes():
    x, y = np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2])
    assert scores.values(x, y, ["f1_macro"], "classes")["f1_macro"] == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    # The same classes seen or not in a draw, the same formula.
    assert scores.values(np.array([0, 1]), np.array([1, 1]), ["f1"], "classes")["f1"] == pytest.approx(2 / 3)
