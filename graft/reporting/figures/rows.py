"""Lay out figures with one row per system: names on the left, grouped by kind, the best of each kind first."""

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from graft.io.names import common_pair
from graft.reporting.figures.style import KINDS, WIDTH, marks, name_task

Row = dict[str, Any]
_LETTERS = 30  # letters per line of a name
_LETTER = 0.0445  # mean width of a letter at 6 points, in inches


def ordered(rows: list[Row], key: str) -> list[Row]:
    """Sort rows by kind, and by descending `key` within a kind."""
    kinds = list(KINDS)
    return sorted(rows, key=lambda row: (kinds.index(row["kind"]), -row[key], row["system"]))


def panel(rows: list[Row], xlabel: str) -> tuple[Figure, Axes]:
    """Make a figure with one line per row, from the top at y = 0, 1, 2, …, and a legend of the kinds above it."""
    common = common_pair([row["system"] for row in rows])
    names = [folded(row["system"].removesuffix(common)) for row in rows]
    letters = max(len(line) for name in names for line in name.split("\n"))
    # In inches. A two-line name needs more room, and all rows are equally high.
    row_height = 0.205 if any("\n" in name for name in names) else 0.145
    kinds = [kind for kind in KINDS if any(row["kind"] == kind for row in rows)]
    above, below = 0.125 * math.ceil(len(kinds) / 3) + 0.24, 0.42
    height = above + row_height * len(rows) + below
    figure = Figure(figsize=(WIDTH, height))
    left = 0.1 + _LETTER * letters
    axis = figure.add_axes((left / WIDTH, below / height, 1 - (left + 0.1) / WIDTH, 1 - (above + below) / height))
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_yticks(range(len(rows)), names, fontsize=6, linespacing=0.95)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(xlabel, loc="right")
    axis.grid(axis="x")
    for index, (one, two) in enumerate(zip(rows, rows[1:], strict=False)):
        if one["kind"] != two["kind"]:
            axis.axhline(index + 0.5, color="#bbbbbb", lw=0.4, zorder=0)
    handles = [Line2D([], [], **marks(kind), label=KINDS[kind][2]) for kind in kinds]
    gaps = {"handletextpad": 0.1, "columnspacing": 1, "labelspacing": 0.3}
    figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 1 - 0.02 / height), ncols=3, **gaps)
    name_task(figure, rows[0]["task"], above - 0.04, va="bottom")
    return figure, axis


def folded(name: str, letters: int = _LETTERS) -> str:
    """Break a name longer than `letters` into two lines, after the dot nearest to its middle."""
    dots = [index for index, letter in enumerate(name) if letter == "."]
    if len(name) <= letters or not dots:
        return name
    at = min(dots, key=lambda index: abs(index - len(name) / 2)) + 1
    return f"{name[:at]}\n{name[at:]}"
