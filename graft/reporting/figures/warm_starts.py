"""Short fine-tunings from several starts: the metric against steps, and against all FLOPs spent."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from graft.reporting import formats, warm_start
from graft.reporting.figures.panels import grid_of
from graft.reporting.figures.source import Source
from graft.reporting.figures.style import LINES, REFERENCE, numbers, styled


def data(source: Source) -> pd.DataFrame:
    """The warm-start curves' rows with finished runs, with the reference's mean."""
    if not source.grid.study.systems.warm_start:
        return pd.DataFrame()
    rows = formats.records(source.comparison)
    references = {row["task"]: row["mean"] for row in rows if formats.is_reference(row)}
    metrics = {row["task"]: row["metric"] for row in rows}
    table = warm_start.curves(source.comparison, source.grid)
    table = table[table["mean"].notna()].reset_index(drop=True)
    dots = [source.dots(row) for row in formats.records(table)]
    own = {"dots": dots, "reference": table["task"].map(references), "metric": table["task"].map(metrics)}
    return table.assign(**own).astype(object)


@styled
def draw(data: pd.DataFrame) -> Figure:
    """Draw a line per start, with intervals or the dots of single seeds; the dashed line is the reference."""
    arms = list(dict.fromkeys(data["arm"]))
    looks = dict(zip(arms, LINES, strict=False))
    handles = [Line2D([], [], lw=1, ms=3, **looks[arm], label=arm) for arm in arms]
    handles.append(Line2D([], [], **REFERENCE, label="reference"))
    figure, axes = grid_of(2, data["task"].iloc[0], handles, 1.5, rows=True)
    for axis, column, label in zip(axes, ("steps", "train_flops"), ("steps", "training FLOPs, all"), strict=True):
        for arm, own in data.groupby("arm", sort=False):
            own = own[own[column].notna()].sort_values("steps")
            spread = own[own["ci_low"].notna()]
            axis.vlines(spread[column].astype(float), *(spread[c].astype(float) for c in ("ci_low", "ci_high")),
                        color=looks[arm]["color"], lw=0.5)  # fmt: skip
            for x, dots in zip(own[column], own["dots"], strict=True):
                axis.plot([x] * len(numbers(dots)), numbers(dots), ".", ms=2, color=looks[arm]["color"])
            axis.plot(own[column].astype(float), own["mean"].astype(float), lw=1, ms=3, **looks[arm])
        reference = data["reference"].iloc[0]
        if reference is not None:
            axis.axhline(reference, **REFERENCE)
        axis.set_xlabel(label, labelpad=1)
        axis.set_ylabel(data["metric"].iloc[0])
    return figure
