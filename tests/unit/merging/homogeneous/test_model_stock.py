import numpy as np
import pytest

from graft.merging.homogeneous.model_stock import ratio
from tests.unit.merging.homogeneous.making import alone

BASE = np.ones((2, 2))


def test_by_hand_for_two_changes_60_degrees_apart(tmp_path):
    changes = np.array([[[2, 0], [0, 0]], [[1, np.sqrt(3)], [0, 0]]])
    # cos = 1/2, t = 2 * 1/2 / (1 + 1/2) = 2/3 of the mean change [[3/2, sqrt(3)/2], [0, 0]].
    expected = BASE + 2 / 3 * changes.mean(axis=0)
    assert np.allclose(alone(tmp_path, "model_stock", BASE + changes, BASE), expected)


def test_three_models_take_the_mean_of_all_pairs(tmp_path):
    changes = np.array([[[1, 0], [0, 0]], [[0, 1], [0, 0]], [[1, 1], [0, 0]]])
    cosine = (0 + 2 * np.sqrt(0.5)) / 3
    expected = BASE + ratio(cosine, 3) * changes.mean(axis=0)
    assert np.allclose(alone(tmp_path, "model_stock", BASE + changes, BASE), expected)


def test_changes_that_share_nothing_leave_the_base(tmp_path):
    for other in ([[0, 1], [0, 0]], [[-1, 0], [0, 0]]):
        changes = np.array([[[1, 0], [0, 0]], other])
        assert np.array_equal(alone(tmp_path, "model_stock", BASE + changes, BASE), BASE)


def test_one_model_has_no_angle(tmp_path):
    with pytest.raises(ValueError, match="model_stock merges 2 models or more; --models names 1"):
        alone(tmp_path, "model_stock", [BASE], BASE)
