"""How many seeds and examples a verdict would take."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from graft.statistics.crossed import Difference
from graft.statistics.verdicts import SEEDS_FOR_VERDICT


@dataclass(frozen=True)
class Needed:
    """Seeds and report examples."""

    seeds: int
    examples: int


def needed(
    difference: Difference, n_examples: int, margin: float, confidence: float = 0.95, power: float = 0.8
) -> Needed:
    """What it takes to tell a difference as large as the margin from none, with this power and without correction.

    Variances add: that of seeds over their number, and that of examples over theirs. Where the examples that there are
    leave room, more seeds do it alone; otherwise each half of the variance goes to one of them. Never fewer than a
    verdict's seeds, and never fewer examples than there are.
    """
    quantiles = stats.norm.ppf((1 + confidence) / 2) + stats.norm.ppf(power)
    allowed = (margin / quantiles) ** 2
    left = allowed - difference.example_variance / n_examples
    examples = n_examples
    if left < allowed / 2:
        left = allowed / 2
        examples = max(n_examples, math.ceil(difference.example_variance / left))
    return Needed(max(SEEDS_FOR_VERDICT, math.ceil(difference.seed_variance / left)), examples)
