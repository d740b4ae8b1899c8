"""Lay out figures of many small panels, two per row."""

import math
from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from graft.reporting.figures.style import GRID, WIDTH

_SPACE = 0.42  # inches between panels, vertically


def grid_of(
    count: int,
    task: str,
    handles: Iterable[Line2D],
    panel_height: float = 1.0,
    share_y: bool = True,
    rows: bool = False,
) -> tuple[Figure, list[Axes]]:
    """Make a figure of `count` panels below the task's name and a legend. `rows`: one panel per row."""
    handles = list(handles)
    columns = 1 if rows or count == 1 else 2
    lines = math.ceil(count / columns)
    legend_lines = math.ceil(len(handles) / 3)
    above, below = 0.24 + 0.14 * legend_lines + 0.16, 0.4
    height = above + lines * panel_height + (lines - 1) * _SPACE + below
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(lines, columns, squeeze=False, sharey=share_y)
    figure.subplots_adjust(
        left=0.5 / WIDTH,
        right=1 - 0.08 / WIDTH,
        top=1 - above / height,
        bottom=below / height,
        wspace=0.12 if share_y else 0.35,
        hspace=_SPACE / panel_height,
    )
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    for axis in axes.flat[:count]:
        axis.grid(True, axis="y", **GRID)
        axis.set_axisbelow(True)
    figure.text(0.02, 1 - 0.03 / height, task, fontsize=8, fontweight="bold", va="top")
    if handles:
        figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(0, 1 - 0.17 / height),
            ncols=3,
            handletextpad=0.5,
            columnspacing=1,
            labelspacing=0.25,
        )
    return figure, list(axes.flat[:count])
