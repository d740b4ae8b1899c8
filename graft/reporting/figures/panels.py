"""Lay out figures of many small panels, two per row."""

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from graft.reporting.figures.style import WIDTH, name_task

_SPACE = 0.42  # inches between panels, vertically


def grid_of(
    count: int, task: str, handles: list[Line2D], panel_height: float = 1.0, rows: bool = False
) -> tuple[Figure, list[Axes]]:
    """Make a figure of `count` panels that share y, below the task's name and a legend.

    panel_height: in inches. rows: one panel per row.
    """
    columns = 1 if rows or count == 1 else 2
    lines = math.ceil(count / columns)
    above, below = 0.24 + 0.14 * math.ceil(len(handles) / 3) + 0.16, 0.4
    height = above + lines * panel_height + (lines - 1) * _SPACE + below
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(lines, columns, squeeze=False, sharey=True)
    sides = {"left": 0.5 / WIDTH, "right": 1 - 0.08 / WIDTH, "top": 1 - above / height, "bottom": below / height}
    figure.subplots_adjust(**sides, wspace=0.12, hspace=_SPACE / panel_height)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    for axis in axes.flat[:count]:
        axis.grid(axis="y")
    name_task(figure, task)
    gaps = {"handletextpad": 0.5, "columnspacing": 1, "labelspacing": 0.25}
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, 1 - 0.17 / height), ncols=3, **gaps)
    return figure, list(axes.flat[:count])
