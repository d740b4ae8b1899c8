"""Figures of the comparison: drawn from the table alone, the same bytes for the same table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from graft import files
from graft.reporting import formats

# Colours of Okabe and Ito (2008), told apart by colour-blind readers; each kind has its own marker too, for greyscale.
KINDS = {
    "finetune": ("o", "#000000", "fine-tuned"),
    "weights": ("^", "#D55E00", "merge of weights"),
    "composite": ("D", "#009E73", "composite merge"),
    "soup": ("P", "#0072B2", "soup of one task's models"),
    "multitask": ("h", "#F0E442", "one encoder for all tasks"),
    "control": ("v", "#CC79A7", "control"),
    "probe": ("s", "#56B4E9", "probe"),
    "baseline": ("X", "#E69F00", "baseline"),
}
_FRONT = {"color": "#999999", "lw": 1.0}
_REFERENCE = {"color": "#000000", "lw": 0.6, "ls": (0, (5, 4))}
_STYLE = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so that every machine draws the same
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.hashsalt": "graft",
}
_PANELS_PER_ROW = 3
_MARKER = 5.5  # points
_LABEL = 6.5  # points, the size of the numbers
_LINE = 0.155  # inches, a line of the key
# Offsets in points that a number may have from its point, the nearest first and to the right first.
_ANGLES = (0, 45, 315, 90, 270, 135, 225, 180, 22, 338, 67, 293, 113, 247, 158, 202)
_RADII = (7.5, 10, 13, 17, 22, 28, 35, 43)

# What a number's place costs, in square points of covered ink: nearer to another's point, or outside the panel.
_MISREAD = 15.0
_OUTSIDE = 50.0

Box = tuple[float, float, float, float]  # left, bottom, right, top in points


def metric_against_cost(comparison: pd.DataFrame, tasks: Sequence[str] | None = None) -> Figure:
    """The primary metric against training FLOPs, one panel per task.

    Points are numbered by system, the same number in every panel; bars are the intervals of the means. The grey step
    line is the Pareto front, the dashed line the reference. A system that costs no training FLOPs has no place on a
    logarithmic axis: it is a dotted line.

    comparison: table of `comparison.compare`; tasks: its tasks by default. Raises ValueError if nothing is done.
    """
    data = points(comparison, tasks)
    if data.empty:
        raise ValueError("the comparison has no finished system, so there is nothing to draw")
    names = list(dict.fromkeys(data["task"]))
    systems = dict(zip(data["number"], data["system"], strict=True))
    columns = min(len(names), _PANELS_PER_ROW)
    rows = math.ceil(len(names) / columns)
    handles, legend_columns = _handles(data), {1: 2, 2: 3}.get(columns, 5)
    # Inches: panels of 3.3 x 2.6, the legend of kinds above, the key to the numbers below.
    width = 3.4 * columns + 0.3
    key_columns = max(1, min(len(systems), int(width / (0.4 + 0.056 * max(map(len, systems.values()))))))
    key_height = _LINE * math.ceil(len(systems) / key_columns) + 0.1
    top, gap, below = 0.3 + 0.18 * math.ceil(len(handles) / legend_columns), 0.75, 0.55
    height = top + rows * 2.6 + (rows - 1) * gap + below + key_height
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height))
        axes = figure.subplots(rows, columns, squeeze=False)
        figure.subplots_adjust(
            left=0.58 / width,
            right=1 - 0.12 / width,
            top=1 - top / height,
            bottom=(below + key_height) / height,
            wspace=0.24,
            hspace=gap / 2.6,
        )
        for axis, task in zip(axes.flat, names, strict=False):
            _panel(axis, data[data["task"] == task], task)
        for axis in axes.flat[len(names) :]:
            axis.set_visible(False)
        figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(0.01, 1 - 0.02 / height),
            ncols=legend_columns,
            frameon=False,
            handletextpad=0.5,
            columnspacing=1.5,
            labelspacing=0.3,
            fontsize=7.5,
        )
        _key(figure, systems, key_columns, (key_height - 0.02) / height, _LINE / height)
    return figure


def points(comparison: pd.DataFrame, tasks: Sequence[str] | None = None) -> pd.DataFrame:
    """What `metric_against_cost` draws: a row per point, numbered by system; `reference`: what others compare with."""
    rows = [row for row in formats.records(comparison) if tasks is None or row["task"] in tasks]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(row["system"] for row in rows), start=1)}
    columns = ["system", "kind", "metric", "train_flops", "mean", "ci_low", "ci_high", "pareto"]
    found = [
        {"task": row["task"], "number": numbers[row["system"]], "reference": formats.is_reference(row)}
        | {column: row[column] for column in columns}
        for row in rows
        if row["mean"] is not None and row["train_flops"] is not None
    ]
    table = pd.DataFrame(found, columns=["task", "number", *columns, "reference"], dtype=object)
    return table.where(table.notna(), None)


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as svg or png (by the ending), atomically and without a date."""
    path = Path(path)
    metadata = {"Date": None} if path.suffix == ".svg" else {}
    with matplotlib.rc_context(_STYLE), files.atomic_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=200, metadata=metadata)


def _panel(axis: Axes, data: pd.DataFrame, task: str) -> None:
    rows = formats.records(data)
    placed = [row for row in rows if row["train_flops"] > 0]
    axis.set_title(task, loc="left", fontweight="bold")
    axis.set_xlabel("training FLOPs")
    axis.set_ylabel(rows[0]["metric"])
    _limits(axis, rows, placed)
    front = _front(axis, rows, placed)
    for row in rows:
        if row["reference"]:
            axis.axhline(row["mean"], **_REFERENCE, zorder=1)
        marker, colour, _ = KINDS[row["kind"]]
        if row["train_flops"] > 0:
            if row["ci_low"] is not None:
                axis.vlines(row["train_flops"], row["ci_low"], row["ci_high"], color=colour, lw=0.8, zorder=2)
            axis.plot(
                *(row["train_flops"], row["mean"], marker),
                ms=_MARKER,
                mfc=colour,
                mec="white",
                mew=0.5,
                zorder=3,
            )
        else:
            axis.axhline(row["mean"], color=colour, lw=0.9, ls=":", zorder=1)
    _number(axis, rows, front)


def _limits(axis: Axes, rows: list[dict[str, Any]], placed: list[dict[str, Any]]) -> None:
    ends = [row[key] for row in rows for key in ("mean", "ci_low", "ci_high") if row[key] is not None]
    pad = 0.07 * (max(ends) - min(ends)) or 0.05
    axis.set_ylim(min(ends) - pad, max(ends) + pad)
    axis.set_xscale("log")
    costs = [math.log10(row["train_flops"]) for row in placed] or [0.0]
    margin = max(0.3, 0.09 * (max(costs) - min(costs)))
    axis.set_xlim(10 ** (min(costs) - margin), 10 ** (max(costs) + margin))
    axis.grid(True, axis="y", lw=0.3, color="#dddddd", zorder=0)
    axis.set_axisbelow(True)
    axis.tick_params(which="minor", length=0)


def _front(axis: Axes, rows: list[dict[str, Any]], placed: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """Draw the step line that no system lies above and left of, and return its corners as (FLOPs, metric).

    A system without training FLOPs starts it at the left edge.
    """
    front = sorted((row for row in rows if row["pareto"]), key=lambda row: (row["train_flops"], row["mean"]))
    if not placed or not front:
        return []
    left, right = axis.get_xlim()
    corners: list[tuple[float, float]] = []
    for row in front:
        cost = max(row["train_flops"], left)
        corners += [(cost, corners[-1][1])] if corners else []
        corners.append((cost, row["mean"]))
    corners.append((right, corners[-1][1]))
    axis.plot(*zip(*corners, strict=True), **_FRONT, zorder=1)
    return corners


def _number(axis: Axes, rows: list[dict[str, Any]], front: list[tuple[float, float]]) -> None:
    """Put the numbers beside their points where they cover no point, bar, line or other number, if there is room."""
    to_points = 72 / axis.figure.dpi
    frame = axis.get_window_extent()
    bounds = (frame.x0 * to_points, frame.y0 * to_points, frame.x1 * to_points, frame.y1 * to_points)
    right = axis.get_xlim()[1]

    def place(cost: float, metric: float) -> tuple[float, float]:
        x, y = axis.transData.transform((cost or right, metric))
        return x * to_points, y * to_points

    def line(start: tuple[float, float], end: tuple[float, float]) -> Box:
        (x, y), (u, v) = place(*start), place(*end)
        return min(x, u) - 1, min(y, v) - 1, max(x, u) + 1, max(y, v) + 1

    taken = [line(start, end) for start, end in zip(front, front[1:], strict=False)]
    for row in rows:
        cost = row["train_flops"]
        if row["reference"] or cost == 0:
            taken.append(line((axis.get_xlim()[0], row["mean"]), (right, row["mean"])))
        if cost > 0:
            taken.append(_box(*place(cost, row["mean"]), _MARKER + 1.5, _MARKER + 1.5))
            if row["ci_low"] is not None:
                taken.append(line((cost, row["ci_low"]), (cost, row["ci_high"])))
    centres = [place(row["train_flops"], row["mean"]) for row in rows if row["train_flops"] > 0]
    # Points on the front choose their places first: they are what a reader looks for.
    for row in sorted(rows, key=lambda row: not row["pareto"]):
        x, y = place(row["train_flops"], row["mean"])
        dx, dy, box = _free_place(x, y, str(row["number"]), taken, centres, bounds, row["train_flops"] > 0)
        taken.append(box)
        colour = KINDS[row["kind"]][1]
        far = math.hypot(dx, dy) > _RADII[1] and row["train_flops"] > 0
        axis.annotate(
            str(row["number"]),
            (row["train_flops"] or right, row["mean"]),
            (dx, dy),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=_LABEL,
            fontweight="bold" if row["pareto"] else "normal",
            zorder=4,
            arrowprops={"arrowstyle": "-", "lw": 0.4, "color": colour, "shrinkA": 3.5, "shrinkB": 0} if far else None,
        )


def _free_place(
    x: float, y: float, text: str, taken: list[Box], centres: list[tuple[float, float]], bounds: Box, is_point: bool
) -> tuple[float, float, Box]:
    """The nearest offset where a number covers least and stands nearer to its own point than to any other.

    Numbers of dotted lines stand just above them, at the right end. All in points of the page.
    """
    width, height = 0.66 * _LABEL * len(text) + 1, _LABEL + 0.5
    offsets = [(r * math.cos(math.radians(a)), r * math.sin(math.radians(a))) for r in _RADII for a in _ANGLES]
    if not is_point:
        offsets = [(-6.0 - 9 * step, side * 6.0) for step in range(12) for side in (1, -1)]

    def cost(dx: float, dy: float) -> float:
        box = _box(x + dx, y + dy, width, height)
        covered = sum(_overlap(box, other) for other in taken)
        nearest = min((math.hypot(x + dx - u, y + dy - v) for u, v in centres), default=math.inf)
        misread = is_point and nearest < math.hypot(dx, dy) - 0.5
        return covered + _MISREAD * misread + _OUTSIDE * (not _inside(box, bounds))

    dx, dy = min(offsets, key=lambda offset: cost(*offset))  # the first of equals
    return dx, dy, _box(x + dx, y + dy, width, height)


def _box(x: float, y: float, width: float, height: float) -> Box:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _overlap(one: Box, other: Box) -> float:
    """Common area of two boxes, square points."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0


def _inside(box: Box, bounds: Box) -> bool:
    return box[0] >= bounds[0] and box[1] >= bounds[1] and box[2] <= bounds[2] and box[3] <= bounds[3]


def _handles(data: pd.DataFrame) -> list[Line2D]:
    """The legend: the kinds that occur, and the lines."""
    handles = [
        Line2D([], [], ls="", marker=marker, ms=_MARKER, mfc=colour, mec="white", mew=0.5, label=label)
        for kind, (marker, colour, label) in KINDS.items()
        if ((data["kind"] == kind) & (data["train_flops"] > 0)).any()
    ]
    handles += [
        Line2D([], [], ls=":", lw=0.9, color=colour, label=f"{label}, no training FLOPs")
        for kind, (_, colour, label) in KINDS.items()
        if ((data["kind"] == kind) & (data["train_flops"] == 0)).any()
    ]
    bar = Line2D([], [], ls="", marker="|", ms=9, mew=0.8, color="#000000", label="interval of the mean")
    lines = [
        Line2D([], [], **_FRONT, label="Pareto front (bold numbers)"),
        Line2D([], [], **_REFERENCE, label="reference"),
    ]
    return [*handles, bar, *lines]


def _key(figure: Figure, systems: dict[int, str], columns: int, top: float, line: float) -> None:
    """The systems' names by number, below the panels."""
    per_column = math.ceil(len(systems) / columns)
    for index, (number, name) in enumerate(sorted(systems.items())):
        column, row = divmod(index, per_column)
        left = 0.03 + column * 0.97 / columns
        figure.text(left, top - row * line, f"{number}", ha="right", va="top", fontsize=7)
        figure.text(left + 0.007, top - row * line, name, ha="left", va="top", fontsize=7)
