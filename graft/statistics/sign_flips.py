"""A randomisation test of paired differences over two crossed factors, seeds and examples."""

from collections.abc import Mapping

import numpy as np

from graft.statistics.sampling import Sampling


def p_value(by_seed: Mapping[str, float], by_example: np.ndarray, sampling: Sampling) -> float:
    """Two-sided p value of no difference between two systems, for new seeds and new examples.

    by_seed: the difference with each seed (or the one that stands for all); by_example: each example's contribution to
    the mean difference, [n]; their mean is that difference.

    If there is no difference, the two systems can be swapped within a seed or within an example, which flips a sign.
    Signs of seeds and of examples are drawn independently, and their errors add up. The test statistic is the mean
    difference over its standard error, whose square is the sum of the seeds' and the examples' squares. With one factor
    this is the usual exact sign-flip test (Fisher 1935); with both, interactions of seed and example count twice, so it
    is conservative. Two simpler tests fail. Comparing means alone would take a large difference common to all seeds for
    an error as large. One sign per (seed, example) would ignore that a seed affects all examples.
    """
    seeds = np.array(list(by_seed.values()))
    parts = [(by_example, sampling.flipped_examples(by_example))]
    if len(seeds) > 1:
        parts.append((seeds, sampling.flipped_seeds(by_seed)))
    observed = float(by_example.mean())
    squares = sum(_squared_error(values, observed) for values, _ in parts)
    flipped_squares = sum(_squared_error(values, flipped) for values, flipped in parts)
    flipped = sum(flipped for _, flipped in parts)
    # The tolerance keeps rounding from making an equal value smaller.
    beyond = _over(flipped, flipped_squares) >= _over(observed, squares) * (1 - 1e-5)
    return (1 + int(np.count_nonzero(beyond))) / (1 + sampling.draws)


def _squared_error(values: np.ndarray, mean: float | np.ndarray) -> float | np.ndarray:
    """The squared standard error of `values` under sign flips with these means; flips do not change the squares."""
    left = np.mean(values**2) - mean**2
    # A variance of rounding size counts as 0.
    return np.where(left > 1e-9 * np.mean(values**2), left, 0.0) / (len(values) - 1)


def _over(mean: float | np.ndarray, squared_error: float | np.ndarray) -> np.ndarray:
    """|mean| over its standard error: infinite if the error is 0, and 0 if the mean is 0 too."""
    mean, error = np.broadcast_arrays(np.abs(mean), np.sqrt(squared_error))
    return np.divide(mean, error, out=np.where(mean > 0, np.inf, 0.0), where=error > 0)
