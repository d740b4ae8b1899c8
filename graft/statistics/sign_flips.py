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
    Both are drawn, apart, and the errors that they make add up. With one factor alone this is the usual, exact, test by
    sign flips (Fisher 1935); with both, what a seed does with an example counts twice, so it errs on the safe side.
    Flipping both signs of one product instead would take every (seed, example) for independent, and forget that a seed
    moves all examples.
    """
    observed = abs(float(by_example.mean()))
    flipped = sampling.flipped_examples(by_example)
    if len(by_seed) > 1:
        flipped = flipped + sampling.flipped_seeds(by_seed)
    # Rounding must not make what is equal smaller.
    beyond = np.count_nonzero(np.abs(flipped) >= observed - 1e-6 * max(observed, 1e-6))
    return (1 + beyond) / (1 + sampling.draws)
