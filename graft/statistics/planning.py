"""Estimate how many seeds and examples a verdict would need."""

import math
from dataclasses import dataclass

from scipy import stats

from graft.statistics.crossed import SEEDS_FOR_TEST, Difference

POWER = 0.8


@dataclass(frozen=True)
class Needed:
    """Seeds and report examples."""

    seeds: int
    examples: int


def needed(difference: Difference, n_examples: int, margin: float, confidence: float = 0.95) -> Needed:
    """Seeds and examples needed to detect a typical difference of the margin with a power of 80%, without correction.

    The variance of the typical difference is the seeds' variance over their number plus the examples' variance over
    theirs. If the existing examples use at most half of the allowed variance, more seeds suffice; otherwise seeds and
    examples get half of it each. The result never has fewer seeds than a verdict requires, or examples than exist.
    """
    quantiles = stats.norm.ppf((1 + confidence) / 2) + stats.norm.ppf(POWER)
    allowed = (margin / quantiles) ** 2
    left = allowed - difference.example_variance / n_examples
    examples = n_examples
    if left < allowed / 2:
        left = allowed / 2
        examples = max(n_examples, math.ceil(difference.example_variance / left))
    return Needed(max(SEEDS_FOR_TEST, math.ceil(difference.seed_variance / left)), examples)
