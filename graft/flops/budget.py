"""How many rows can be trained on within a budget of FLOPs. Imports no torch."""

from collections.abc import Callable

import numpy as np

FEWEST = 2


def rows_within(budget: int, lengths: np.ndarray, step: Callable[[int], int]) -> int:
    """Return how many of the first rows, `lengths` [rows] in tokens, one epoch can train on within a budget in FLOPs.

    `step(t)` is one example's share of a training step at t tokens; padding, which depends on the batches, is not
    counted. Returns at least two rows, whatever the budget, and at most all of them.
    """
    cost = {int(length): step(int(length)) for length in np.unique(lengths)}
    spent = np.cumsum([cost[int(length)] for length in lengths])
    return max(FEWEST, int(np.searchsorted(spent, budget, side="right")))
