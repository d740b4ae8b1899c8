"""Turn differences into verdicts: Holm's correction, equivalence tests, and the words in the tables."""

from collections.abc import Sequence

import numpy as np

from graft.statistics.crossed import Difference

# Of a difference that has a p value but gets no verdict.
DESCRIPTIVE = "descriptive"


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for their number, so that the probability of any false verdict is below alpha (Holm 1979)."""
    order, given = np.argsort(p_values), np.array(p_values)
    given[order] = np.maximum.accumulate(given[order] * np.arange(len(given), 0, -1))
    return np.minimum(given, 1).tolist()


def verdict(difference: Difference, p_holm: float, margin: float | None, confidence: float) -> str:
    """The verdict on a difference of typical runs: better, worse, equivalent or inconclusive.

    A difference that is both significant and equivalent counts as significant. Equivalent: two one-sided tests at
    1 - confidence reject a difference of the margin or more (Schuirmann 1987); that is, the inner interval lies within
    the margin. Without a margin, nothing is equivalent.
    """
    if p_holm <= 1 - confidence:
        return "better" if difference.typical > 0 else "worse"
    if margin is not None and difference.inner and -margin < difference.inner[0] and difference.inner[1] < margin:
        return "equivalent"
    return "inconclusive"
