"""Every run as a dot, beside its system's mean and its interval, if there is one."""

import pandas as pd
from matplotlib.figure import Figure

from graft.reporting import formats
from graft.reporting.figures import clipping, rows
from graft.reporting.figures.source import Source
from graft.reporting.figures.style import KINDS, REFERENCE, marks, seed_marks, styled

COLUMNS = ("task", "system", "kind", "metric", "seed", "value", "degenerate", "mean", "low", "high", "reference")


def data(source: Source) -> pd.DataFrame:
    """One row per finished run, with its system's mean and interval."""
    compared = {(row["task"], row["system"]): row for row in formats.records(source.comparison)}
    done = source.runs[source.runs["state"] == "done"]
    found = []
    for run in formats.records(done):
        row = compared.get((run["task"], run["system"]))
        if row is not None and row["mean"] is not None:
            found.append(
                (run["task"], run["system"], row["kind"], row["metric"], run["seed"], run["value"], run["degenerate"])
                + (row["mean"], row["ci_low"], row["ci_high"], formats.is_reference(row))
            )
    return pd.DataFrame(found, columns=list(COLUMNS), dtype=object)


@styled
def draw(data: pd.DataFrame) -> Figure:
    """Draw a row per system: hollow dots are runs (crosses: constant ones), the marker with a bar is the mean."""
    every = formats.records(data)
    means = rows.ordered(list({row["system"]: row for row in every}.values()), "mean")
    figure, axis = rows.panel(means, f"{means[0]['metric']} on report")
    ends = [row[end] for row in means for end in ("low", "high") if row[end] is not None]
    axis.set_xlim(*clipping.span([row["value"] for row in every], ends, share=0.2))
    place: dict[str, float] = {row["system"]: index for index, row in enumerate(means)}
    for row in means:
        colour, y = KINDS[row["kind"]][1], place[row["system"]]
        if row["reference"]:
            axis.axvline(row["mean"], **REFERENCE, zorder=1)
        if row["low"] is not None:
            clipping.level(axis, y + 0.16, row["low"], row["high"], colour, lw=1, zorder=2)
        axis.plot(row["mean"], y + 0.16, **marks(row["kind"]) | {"ms": 4.5}, zorder=3)
    for row in every:
        how = {"marker": "x"} if str(row["degenerate"]) == "True" else {}
        axis.plot(row["value"], place[row["system"]] - 0.22, **seed_marks(row["kind"]) | how, zorder=4)
    return figure
