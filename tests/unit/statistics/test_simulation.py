"""A short version of `python -m benchmarks.verdicts`: too few studies to measure a rate, enough to see a wrong one."""

import pytest

from benchmarks.verdicts import World, coverage, false_verdicts, power
from graft.statistics.crossed import SEEDS_FOR_INTERVAL


@pytest.mark.parametrize("world", [World(), World(seed=0.4)], ids=["usual", "seeds differ much"])
def test_studies_without_effects_have_few_false_verdicts(world):
    # 5% of 40 studies are 2; 8 or more have a probability of 1e-3.
    assert false_verdicts(40, 500, world, ("rte",), 5, 12) < 0.2


def test_intervals_of_few_seeds_hold_the_truth_where_plain_resampling_does_not():
    held = coverage(150, 500, World(seed=0.2), "rte", SEEDS_FOR_INTERVAL)
    assert held["mean"] > 0.9 and held["difference"] > 0.9 and held["plain"] < 0.85


def test_a_large_effect_is_found():
    assert power(10, 500, World(), {"sst2": 0.5}, 12)["sst2"] == 1
