import numpy as np
import pytest

from graft.statistics.frontiers import reaching

COSTS = np.array([10.0, 100.0, 1000.0, 10_000.0])


def at(goal, metrics=(0.5, 0.6, 0.55, 0.8)):
    return reaching(COSTS, np.array(metrics)[:, None], np.array([goal]))[0]


def test_between_two_systems_the_metric_is_linear_in_the_logarithm_of_the_cost():
    assert at(0.55) == pytest.approx(10**1.5) and at(0.6) == pytest.approx(100)
    # A worse and dearer system does not lower what was reached before.
    assert at(0.7) == pytest.approx(10**3.5) and at(0.8) == pytest.approx(10_000)


def test_a_goal_below_the_cheapest_costs_as_much_as_it_and_one_above_all_is_never_reached():
    assert at(0.1) == at(0.5) == pytest.approx(10) and at(0.81) == np.inf


def test_dearer_goals_never_cost_less():
    found = reaching(COSTS, np.repeat([[0.5], [0.6], [0.55], [0.8]], 50, axis=1), np.linspace(0.4, 0.9, 50))
    assert (np.diff(found[np.isfinite(found)]) >= 0).all() and found[-1] == np.inf


def test_every_draw_has_its_own_frontier():
    metrics = np.array([[0.5, 0.9], [0.7, 0.1]])
    assert reaching(COSTS[:2], metrics, np.array([0.7, 0.7])) == pytest.approx([100, 10])


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 2, 1]])
def test_of_systems_that_cost_the_same_the_best_counts(order):
    costs, metrics = np.array([1.0, 4.0, 4.0]), np.array([[0.0], [0.5], [0.9]])[order]
    assert reaching(costs, metrics, np.array([0.45])) == pytest.approx(2.0)
