import numpy as np

from tests.unit.merging.homogeneous.making import alone

BASE = np.ones((2, 2))


def test_all_singular_values_become_their_mean(tmp_path):
    changes = np.array([[[2, 0], [0, 0]], [[1, 0], [0, 1]]])
    # The sum is diag(3, 1), its mean singular value 2.
    assert np.allclose(alone(tmp_path, "iso_c", BASE + changes, BASE), [[3, 1], [1, 3]])
    assert np.allclose(alone(tmp_path, "iso_c", BASE + changes, BASE, strength=0.5), [[2, 1], [1, 2]])


def test_a_change_that_is_flat_already_is_kept(tmp_path):
    angle = 0.7
    turn = 3 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    model = BASE + turn
    assert np.allclose(alone(tmp_path, "iso_c", [model] * 3, BASE, strength=1 / 3), model, atol=1e-6)


def test_vectors_are_averaged(tmp_path):
    assert np.allclose(alone(tmp_path, "iso_c", [[1, 2], [3, 6]], [0, 0]), [2, 4])
