import math

import numpy as np
import pytest

from graft.merging.homogeneous.slerp import coefficients
from tests.unit.merging.homogeneous.making import alone

ONE, OTHER = [[1, 0], [0, 0]], [[0, 2], [0, 0]]


def test_half_way_between_orthogonal_tensors_both_count_by_the_sine_of_45_degrees(tmp_path):
    assert np.allclose(alone(tmp_path, "slerp", [ONE, OTHER]), np.array([[1, 2], [0, 0]]) * math.sqrt(0.5))


def test_the_base_is_the_first_end_and_strength_the_share_of_the_way(tmp_path):
    result = alone(tmp_path, "slerp", [OTHER], ONE, strength=1 / 3)
    assert np.allclose(result, [[math.sin(math.pi / 3), 2 * math.sin(math.pi / 6)], [0, 0]])


@pytest.mark.parametrize(("share", "end"), [(0.0, ONE), (1.0, OTHER)])
def test_both_ends_are_the_models(share, end, tmp_path):
    assert np.allclose(alone(tmp_path, "slerp", [ONE, OTHER], strength=share), end, atol=1e-7)


def test_nearly_parallel_tensors_and_zeros_are_interpolated_on_the_line(tmp_path):
    assert coefficients(0.9996, 0.25) == coefficients(-1.0, 0.25) == (0.75, 0.25)
    result = alone(tmp_path, "slerp", [np.zeros((2, 2)), np.ones((2, 2))], strength=0.25)
    assert np.allclose(result, 0.25)


def test_the_arc_keeps_the_norm():
    cosine = 0.3
    one, other = coefficients(cosine, 0.4)
    assert one**2 + other**2 + 2 * one * other * cosine == pytest.approx(1)
