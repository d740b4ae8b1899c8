"""From differences to verdicts: Holm's correction, equivalence, and which word stands in the table."""

from __future__ import annotations

from collections.abc import Sequence

from graft.statistics.crossed import Difference

# Fewer seeds than this carry no verdict: with 12, signs of seeds alone can reach p = 2 / 2**12.
SEEDS_FOR_VERDICT = 12
DESCRIPTIVE = "descriptive"


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for their number, so that any false verdict among them is rarer than alpha (Holm 1979)."""
    from statsmodels.stats.multitest import multipletests  # a second to import, and few need it

    return multipletests(p_values, method="holm")[1].tolist() if p_values else []


def carries_verdict(difference: Difference | None) -> bool:
    """Whether there are seeds enough behind a difference."""
    return difference is not None and difference.n_seeds >= SEEDS_FOR_VERDICT and difference.p_value is not None


def verdict(difference: Difference, p_holm: float, margin: float | None, confidence: float) -> str:
    """better | worse | equivalent | inconclusive.

    A significant difference comes before an equivalence: it may be both. Equivalent: two one-sided tests at
    1 - confidence reject a difference of the margin or more (Schuirmann 1987), which is to say that the inner interval
    lies within it; never where there is no margin.
    """
    if p_holm <= 1 - confidence:
        return "better" if difference.mean > 0 else "worse"
    if margin is not None and -margin < difference.inner[0] and difference.inner[1] < margin:
        return "equivalent"
    return "inconclusive"
