"""A forest plot of all systems' differences to the reference, with intervals and the equivalence margin."""

import pandas as pd
from matplotlib.figure import Figure

from graft.reporting import formats
from graft.reporting.figures import rows
from graft.reporting.figures.source import Source
from graft.reporting.figures.style import KINDS, marks, styled

COLUMNS = ("task", "system", "kind", "metric", "difference", "low", "high", "margin", "verdict", "p_holm", "chosen")


def data(source: Source) -> pd.DataFrame:
    """One row per task and system that is compared with a reference."""
    found = [
        (row["task"], row["system"], row["kind"], row["metric"], row["delta_vs_reference"], row["delta_ci_low"])
        + (row["delta_ci_high"], source.grid.study.margin(row["task"]), row["verdict"], row["p_holm"], row["chosen"])
        for row in formats.records(source.comparison)
        if row["delta_vs_reference"] is not None and not formats.is_reference(row)
    ]
    return pd.DataFrame(found, columns=list(COLUMNS), dtype=object)


@styled
def draw(data: pd.DataFrame) -> Figure:
    """Draw points with intervals; 0 is the reference, the grey band is the margin, a star marks the chosen merge."""
    found = rows.ordered(formats.records(data), "difference")
    figure, axis = rows.panel(found, f"Δ {found[0]['metric']} to the reference")
    margin = found[0]["margin"]
    if margin is not None:
        axis.axvspan(-margin, margin, color="#e4e4e4", lw=0, zorder=0)
    axis.axvline(0, color="#000000", lw=0.7, zorder=1)
    right = max(row["high"] if row["high"] is not None else row["difference"] for row in found)
    for index, row in enumerate(found):
        colour = KINDS[row["kind"]][1]
        if row["low"] is not None:
            axis.hlines(index, row["low"], row["high"], color=colour, lw=1, zorder=2)
        axis.plot(row["difference"], index, **marks(row["kind"]), zorder=3)
        notes = ["★"] * (row["chosen"] is True) + [row["verdict"]] * (row["verdict"] not in (None, "descriptive"))
        end = row["high"] if row["high"] is not None else row["difference"]
        axis.annotate(" ".join(notes), (end, index), (4, 0), textcoords="offset points", va="center", fontsize=5.5)
    left, _ = axis.get_xlim()
    axis.set_xlim(left, max(right, 0) + 0.12 * (max(right, 0) - left))
    return figure
