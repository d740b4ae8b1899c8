import numpy as np
import pytest

from graft.merging.homogeneous.averages import greedy
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


def test_a_greedy_soup_takes_from_the_best_down_what_does_not_hurt():
    asked = []
    values = {(2, 0): 0.9, (2, 0, 3): 0.8, (2, 0, 1): 0.9}

    def score(models):
        asked.append(models)
        return values[models]

    # Model 0 raises the score, 3 lowers it, 1 leaves it as it is.
    assert greedy([0.7, 0.5, 0.85, 0.6], score) == (2, 0, 1)
    assert asked == [(2, 0), (2, 0, 3), (2, 0, 1)]


def test_a_greedy_soup_of_one_model_asks_for_nothing_and_of_none_is_an_error():
    assert greedy([0.3], lambda models: 1 / 0) == (0,)
    with pytest.raises(ValueError, match="one model at least"):
        greedy([], lambda models: 0.0)
