"""A randomisation test of paired differences over two crossed factors: seeds, and examples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graft.statistics.sampling import Sampling


def p_value(by_seed: Mapping[str, float], by_example: np.ndarray, sampling: Sampling) -> float:
    """Two-sided p value of no difference between two systems, for new seeds and new examples.

    by_seed: the difference with each seed (or the one that stands for all); by_example: each example's contribution to
    the mean difference, [n], whose mean that is.

    Without a difference the systems could change places: in all of a seed, or in all of an example, which turns a sign.
    Both are drawn, apart, and the errors that they make add up. What is compared is the mean difference over its
    standard error, of which the seeds' and the examples' squares add up too. With one factor alone this is the usual,
    exact, test by sign flips (Fisher 1935); with both, what a seed does with an example counts twice, so it errs on
    the safe side. Means alone would not do: a large difference with all seeds would make the seeds' flips look like an
    error as large. Nor would a sign of its own for each (seed, example): it forgets that a seed moves all examples.
    """
    seeds = np.array(list(by_seed.values()))
    parts = [(by_example, sampling.flipped_examples(by_example))]
    if len(seeds) > 1:
        parts.append((seeds, sampling.flipped_seeds(by_seed)))
    observed = float(by_example.mean())
    squares = sum(_squared_error(values, observed) for values, _ in parts)
    flipped_squares = sum(_squared_error(values, flipped) for values, flipped in parts)
    flipped = sum(flipped for _, flipped in parts)
    # Rounding must not make what is equal smaller.
    beyond = _over(flipped, flipped_squares) >= _over(observed, squares) * (1 - 1e-5)
    return (1 + int(np.count_nonzero(beyond))) / (1 + sampling.draws)


def _squared_error(values: np.ndarray, mean: float | np.ndarray) -> float | np.ndarray:
    """The squared standard error of a mean of `values` under some signs, which leave their squares as they are."""
    left = np.mean(values**2) - mean**2
    # What rounding leaves of nothing is nothing.
    return np.where(left > 1e-9 * np.mean(values**2), left, 0.0) / (len(values) - 1)


def _over(mean: float | np.ndarray, squared_error: float | np.ndarray) -> np.ndarray:
    """|mean| over its standard error: endless where there is no error, and 0 where there is no mean."""
    mean, error = np.broadcast_arrays(np.abs(mean), np.sqrt(squared_error))
    return np.divide(mean, error, out=np.where(mean > 0, np.inf, 0.0), where=error > 0)
