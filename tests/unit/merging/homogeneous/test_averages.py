import numpy as np

from tests.unit.merging.homogeneous.making import alone

MODELS = [[[1, 2], [3, 4]], [[3, 2], [1, 0]], [[5, 2], [2, -1]]]


def test_uniform_is_the_mean(tmp_path):
    assert np.allclose(alone(tmp_path, "uniform", MODELS), [[3, 2], [2, 1]])


def test_linear_divides_by_the_weights(tmp_path):
    result = alone(tmp_path, "linear", MODELS, weights=(1.0, 2.0, 1.0))
    assert np.allclose(result, [[3, 2], [7 / 4, 3 / 4]])


def test_negative_weights_go_away_from_a_model(tmp_path):
    assert np.allclose(alone(tmp_path, "linear", MODELS[:2], weights=(2.0, -1.0)), [[-1, 2], [5, 8]])


def test_a_strength_counts_from_the_base(tmp_path):
    result = alone(tmp_path, "uniform", MODELS, np.ones((2, 2)), strength=0.5)
    assert np.allclose(result, [[2, 1.5], [1.5, 1]])
