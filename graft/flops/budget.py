"""What can be trained for so many FLOPs. Imports no torch."""

from collections.abc import Callable

import numpy as np

FEWEST = 2


def rows_within(budget: int, lengths: np.ndarray, step: Callable[[int], int]) -> int:
    """How many of the first rows, `lengths` [rows] tokens long, one epoch can train on within a budget in FLOPs.

    `step(t)` is one example's share of a training step at t tokens; padding, which depends on the batches, is not
    counted. At least two rows, whatever the budget; all rows where it allows.
    """
    cost = {int(length): step(int(length)) for length in np.unique(lengths)}
    spent = np.cumsum([cost[int(length)] for length in lengths])
    return max(FEWEST, int(np.searchsorted(spent, budget, side="right")))
