import numpy as np
import pytest
from scipy import stats

from graft.statistics.crossed import Difference
from graft.statistics.planning import needed


def difference(seed_variance, example_variance):
    return Difference(0.0, 0.1, 12, None, None, None, None, seed_variance, example_variance)


def test_seeds_alone_are_the_usual_formula():
    found = needed(difference(4e-4, 0.0), 1000, 0.01)
    assert (found.seeds, found.examples) == (int(np.ceil(4e-4 * (1.959964 + 0.841621) ** 2 / 0.01**2)), 1000)


def test_with_what_it_says_the_power_is_what_was_asked_for():
    for seed, example in ((2e-4, 0.3), (1e-5, 0.2), (1e-3, 0.05)):
        found = needed(difference(seed, example), 277, 0.02)
        error = np.sqrt(seed / found.seeds + example / found.examples)
        power = stats.norm.sf(1.96 - 0.02 / error)
        assert power == pytest.approx(0.8, abs=0.03) or (power > 0.8 and found.seeds == 12)


def test_never_fewer_than_there_are_or_than_a_verdict_takes():
    found = needed(difference(1e-9, 1e-9), 277, 0.05)
    assert (found.seeds, found.examples) == (12, 277)


def test_examples_that_leave_less_than_half_to_the_seeds_are_joined_by_more():
    allowed, n = (0.02 / (1.959964 + 0.841621)) ** 2, 1000
    for share, examples in ((0.4, n), (0.75, 1.5 * n), (2.0, 4 * n)):
        found = needed(difference(1e-3, share * allowed * n), n, 0.02)
        left = allowed * max(1 - share, 0.5)
        assert found.examples == pytest.approx(examples, abs=1) and found.seeds == np.ceil(1e-3 / left)
