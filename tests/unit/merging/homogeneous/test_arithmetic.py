"""Formulas of the family of task arithmetic, by hand."""

import numpy as np
import pytest

from graft.merging.homogeneous.arithmetic import elected, everyone
from graft.merging.homogeneous.masks import RANGE, draws
from tests.unit.merging.homogeneous import making
from tests.unit.merging.homogeneous.making import alone

BASE = [[1, 1], [1, 1]]
# Changes [[4, -1], [2, 0]] and [[2, 3], [-2, 1]].
MODELS = [[[5, 0], [3, 1]], [[3, 4], [-1, 2]]]


def test_task_arithmetic_adds_a_share_of_all_changes(tmp_path):
    assert np.allclose(alone(tmp_path, "task_arithmetic", MODELS, BASE), [[2.8, 1.6], [1, 1.3]])  # 0.3, the default
    result = alone(tmp_path, "task_arithmetic", MODELS, BASE, strength=0.5, weights=(1.0, 2.0))
    assert np.allclose(result, [[1 + 0.5 * 8, 1 + 0.5 * 5], [1 - 0.5 * 2, 1 + 0.5 * 2]])


def test_ties_trims_elects_a_sign_and_averages_who_agrees(tmp_path):
    # The larger half of each change: [[4, 0], [2, 0]], and of the second, where two are equal, all three.
    result = alone(tmp_path, "ties", MODELS, BASE, options={"density": 0.5})
    # Elected: +, +, none (2 against -2), none. Means over who agrees: (4 + 2) / 2 and 3.
    assert np.allclose(result, [[4, 4], [1, 1]])


def test_ties_weights_count_in_the_vote_and_in_the_mean(tmp_path):
    result = alone(tmp_path, "ties", MODELS, BASE, options={"density": 1}, weights=(3.0, 1.0))
    # Sums 14, 0, 4, 1.
    assert np.allclose(result, [[1 + 14 / 4, 1], [1 + 2, 1 + 1]])


def test_ties_trims_the_whole_model_or_each_tensor(tmp_path):
    base = {"a": np.zeros((2, 2), np.float32), "b": np.zeros((2, 2), np.float32)}
    tuned = {"a": np.float32([[8, 7], [6, 5]]), "b": np.float32([[4, 3], [2, 1]])}
    folders = making.write(tmp_path / "m", tuned), making.write(tmp_path / "base", base)
    for scope, a, b in (
        ("model", [[8, 7], [6, 5]], [[0, 0], [0, 0]]),
        ("tensor", [[8, 7], [0, 0]], [[4, 3], [0, 0]]),
    ):
        options = {"density": 0.5, "scope": scope}
        result = making.merged(tmp_path / scope, "ties", folders[:1], folders[1], options=options)
        assert np.array_equal(result["a"], a) and np.array_equal(result["b"], b)


def test_breadcrumbs_drops_the_largest_and_the_smallest(tmp_path):
    tuned = [[1, -2, 3, -4, 5], [6, -7, 8, -9, 10]]
    result = alone(tmp_path, "breadcrumbs", [tuned], np.zeros((2, 5)), options={"density": 0.3, "outliers": 0.2})
    # 0.2 of ten are 2 outliers, then 3 are kept, then 5 are dropped; a fifth of what is left.
    assert np.allclose(result, 0.2 * np.array([[0, 0, 0, 0, 0], [6, -7, 8, 0, 0]]))


def test_dare_divides_what_it_keeps_by_its_probability(tmp_path):
    tuned = np.ones((50, 40))
    result = alone(tmp_path, "dare_linear", [tuned], np.zeros((50, 40)), strength=1.0, options={"density": 0.25})
    kept = result != 0
    assert np.allclose(result[kept], 4) and abs(kept.mean() - 0.25) < 0.04
    assert np.array_equal(kept, draws(0, "layer.weight", 0, 0, 2000).reshape(50, 40) < 0.25 * RANGE)


def test_dare_drops_independently_in_each_model(tmp_path):
    tuned = [np.full((50, 40), value) for value in (1.0, 100.0)]
    result = alone(tmp_path, "dare_linear", tuned, np.zeros((50, 40)), strength=1.0)
    shares = [np.mean(np.isclose(result, value)) for value in (0, 2, 200, 202)]
    assert all(abs(share - 0.25) < 0.04 for share in shares)


def test_dare_ties_takes_the_mean_of_what_is_left_and_agrees(tmp_path):
    tuned = [np.full((50, 40), value) for value in (1.0, 100.0)]
    result = alone(tmp_path, "dare_ties", tuned, np.zeros((50, 40)))
    shares = [np.mean(np.isclose(result, value)) for value in (0, 2, 200, 101)]
    assert all(abs(share - 0.25) < 0.04 for share in shares)


def test_della_keeps_larger_changes_more_often_and_divides_each_by_its_probability(tmp_path):
    row = np.arange(1, 12)
    tuned = np.tile(row, (4000, 1))
    options = {"density": 0.5, "epsilon": 0.4}
    result = alone(tmp_path, "della_linear", [tuned], np.zeros(tuned.shape), strength=1.0, options=options)
    probabilities = np.linspace(0.3, 0.7, 11)
    assert np.abs((result != 0).mean(axis=0) - probabilities).max() < 0.04
    kept = result.max(axis=0)
    assert np.allclose(kept, row / probabilities)


def test_della_elects_and_averages(tmp_path):
    options = {"density": 1}
    assert np.allclose(alone(tmp_path, "della", MODELS, BASE, options=options), [[4, 4], [1, 2]])


def test_where_both_sides_balance_no_sign_is_elected():
    deltas = [np.float32([[1, 2, -3]]), np.float32([[-1, 2, 1]])]
    total, counted = elected(deltas, (1.0, 1.0))
    assert np.array_equal(total, [[0, 4, -3]]) and np.array_equal(counted, [[0, 2, 1]])
    assert everyone(deltas, (1.0, 2.0))[1] == 3


@pytest.mark.parametrize("density", [0.001, 1 / 3, 0.999])
def test_trimming_keeps_one_element_at_least_and_the_share_it_should(density, tmp_path):
    rng = np.random.default_rng(0)
    tuned = rng.standard_normal((30, 10))
    result = alone(tmp_path, "ties", [tuned], np.zeros((30, 10)), options={"density": density})
    assert np.count_nonzero(result) == max(1, int(300 * density))
