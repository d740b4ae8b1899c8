"""How often, and by how much, the runs of one system are better than those of another: two distributions compared."""

from typing import NamedTuple

import numpy as np


class Order(NamedTuple):
    """The runs of one system against those of another, on these examples.

    `probability`: that a run beats one of the other, ties counting half, between `low` and `high` for new seeds
    (Agarwal et al. 2021, arXiv 2108.13264). `epsilon`: almost stochastic order, an upper bound of how far the system is
    from being better at every quantile: 0 if it is, 1 if it is worse at every one; below 0.5 it is the better one (del
    Barrio et al. 2018; Dror et al. 2019).
    """

    probability: float
    low: float
    high: float
    epsilon: float


def order(values: np.ndarray, others: np.ndarray, confidence: float, draws: np.ndarray) -> Order:
    """Compare runs `values` [n] with `others` [n], paired by seed; draws: of n runs each, indices [b, 2, n].

    The interval is Student's, of what each seed contributes to the probability; where all pairs agree, it is what n of
    n leave possible (Clopper and Pearson 1934). Epsilon is the share of the squared distance between the quantiles that
    lies where they are worse, plus a normal bound from the spread of this share in the draws.
    """
    from scipy import special

    n, tail = len(values), (1 - confidence) / 2
    wins = (np.sign(values[:, None] - others) + 1) / 2
    found, by_seed = float(wins.mean()), wins.mean(axis=0) + wins.mean(axis=1)
    half = float(special.stdtrit(n - 1, 1 - tail) * np.std(by_seed, ddof=1) / n**0.5)
    if found in (0, 1):
        half = 1 - tail ** (1 / n)
    drawn = _violation(values[draws[:, 0]], others[draws[:, 1]])
    epsilon = float(_violation(values, others) + special.ndtri(confidence) * drawn.std())
    return Order(found, max(found - half, 0.0), min(found + half, 1.0), min(max(epsilon, 0.0), 1.0))


def _violation(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The violation ratio of samples of equal size, [..., n]; 0.5 if all quantiles are equal."""
    short = np.sort(others, axis=-1) - np.sort(values, axis=-1)
    violating, whole = ((part**2).sum(axis=-1) for part in (np.maximum(short, 0), short))
    return np.divide(violating, whole, out=np.full(np.shape(whole), 0.5), where=whole > 0)
