import numpy as np

from graft.merging.homogeneous.tsv import joined, nearest_orthogonal
from tests.unit.merging.homogeneous.making import alone

BASE = np.ones((2, 2))


def test_directions_that_do_not_touch_are_added(tmp_path):
    changes = np.array([[[3, 0], [0, 1]], [[0, 0], [0, 2]]])
    # Each model keeps its first direction of two: 3 along the first axis, 2 along the second.
    assert np.allclose(alone(tmp_path, "tsv", BASE + changes, BASE), [[4, 1], [1, 3]], atol=1e-6)


def test_directions_that_are_shared_are_made_orthogonal():
    rng = np.random.default_rng(0)
    deltas = [rng.standard_normal((6, 4)) for _ in range(2)]
    parts = [np.linalg.svd(delta, full_matrices=False) for delta in deltas]
    left = np.concatenate([u[:, :2] for u, _, _ in parts], axis=1)
    right = np.concatenate([v[:2] for _, _, v in parts])
    values = np.concatenate([s[:2] for _, s, _ in parts])

    def polar(matrix):
        gram = matrix.T @ matrix
        scales, turns = np.linalg.eigh(gram)
        return matrix @ (turns / np.sqrt(scales)) @ turns.T

    expected = polar(left) @ np.diag(values) @ polar(right.T).T
    assert np.allclose(joined(deltas, (1.0, 1.0), "cpu"), expected)


def test_one_model_is_kept_whole(tmp_path):
    model = np.random.default_rng(1).standard_normal((5, 3))
    assert np.allclose(alone(tmp_path, "tsv", [model], np.zeros((5, 3))), model, atol=1e-6)


def test_models_with_directions_of_their_own_return_each_others_changes():
    left, right = (np.linalg.qr(np.random.default_rng(i).standard_normal((6, 6)))[0] for i in (2, 3))
    deltas = [left[:, :3] @ np.diag([3.0, 2, 1]) @ right[:3], left[:, 3:] @ np.diag([5.0, 2, 1]) @ right[3:]]
    assert np.allclose(joined(deltas, (1.0, 1.0), "cpu"), sum(deltas))


def test_a_head_with_fewer_rows_than_models_keeps_a_direction_of_each():
    deltas = [np.random.default_rng(i).standard_normal((2, 8)) for i in range(3)]
    assert np.linalg.norm(joined(deltas, (1.0, 1.0, 1.0), "cpu")) > 1


def test_the_nearest_orthogonal_matrix_of_a_scaled_one_is_itself():
    turn = np.linalg.qr(np.random.default_rng(4).standard_normal((4, 4)))[0]
    assert np.allclose(nearest_orthogonal(7 * turn, "cpu"), turn)
