"""Frontiers: the best metric at every cost, and the cost at which it reaches a goal."""

import numpy as np


def reaching(costs: np.ndarray, metrics: np.ndarray, goals: np.ndarray) -> np.ndarray:
    """The cost at which the best of several systems reaches a goal, [draws]; infinite where none does.

    costs: [systems], ascending; metrics: [systems, draws]; goals: [draws]. Between two systems the best metric is
    linear in the logarithm of the cost, and it never falls. A goal below the cheapest system costs as much as that.
    """
    # Of systems that cost the same, only the best counts, whatever their order.
    costs, first = np.unique(costs, return_index=True)
    best = np.maximum.accumulate(np.maximum.reduceat(metrics, first, axis=0), axis=0)
    reached, draws = best >= goals - 1e-12, np.arange(len(goals))
    at = reached.argmax(axis=0)
    before = np.maximum(at - 1, 0)
    low, high = best[before, draws], best[at, draws]
    share = np.minimum((goals - low) / np.where(high > low, high - low, 1), 1)
    logs = np.log(np.maximum(costs, 1))
    return np.where(reached.any(axis=0), np.exp(logs[before] + share * (logs[at] - logs[before])), np.inf)
