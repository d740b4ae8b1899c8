import pytest

from graft.merging.homogeneous.greedy import greedy


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
    with pytest.raises(ValueError, match="at least one model"):
        greedy([], lambda models: 0.0)
