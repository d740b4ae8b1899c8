"""A short version of `python -m benchmarks.verdicts`: too few studies to measure a rate, enough to see a wrong one."""

import pytest

from benchmarks.verdicts import REPORTED, World, coverage, false_verdicts, told
from graft.statistics.crossed import SEEDS_FOR_INTERVAL

FAILING = World(seed=0.4, failing=(0.1, 0.0))


WORLDS = {
    "usual": World(),
    "seeds differ much": World(seed=0.4),
    "the reference fails": World(failing=(0.1, 0.0)),
    "the reference fails, seeds differ much": FAILING,
    "systems fail": World(failing=(0.0, 0.05)),
    "nearly all alike": World(own=0.1, noise=0.1),
}


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_studies_without_effects_have_few_false_verdicts(world):
    # 5% of 60 studies are 3; 10 or more have a probability of 1e-3.
    assert false_verdicts(60, world, ("rte",), 5, 12) < 10 / 60


def test_intervals_of_few_seeds_hold_the_truth_where_plain_resampling_does_not():
    held = coverage(150, 500, World(seed=0.2), "rte", SEEDS_FOR_INTERVAL)
    assert held["mean"] > 0.9 and held["difference"] > 0.9 and held["plain"] < 0.85


def test_intervals_of_typical_runs_hold_the_truth_where_those_of_means_do_not():
    held = coverage(150, 500, FAILING, "rte", 12, FAILING.truth(0.0, 12)[0])
    assert held["difference"] > 0.9 and held["mean"] < 0.9


def test_where_means_are_equal_and_typical_runs_differ_a_failed_run_is_reported_with_the_verdict():
    world = World(failing=(0.1, 0.0))
    found = told(100, world, "sst2", world.effect(0.0, 12, True), 12)
    assert found["worse"] > 0.6 and found["better"] == 0 and found[REPORTED] > 0.55


def test_a_large_effect_is_found():
    assert told(10, World(), "sst2", 0.6, 12)["better"] == 1
