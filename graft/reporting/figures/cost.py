"""The primary metric against the cost of making or using a system, with the Pareto front of these two."""

import functools
import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from graft.io.names import common_pair
from graft.reporting import formats, search
from graft.reporting.comparison import pareto_front
from graft.reporting.figures import clipping, labels
from graft.reporting.figures.cost_axis import lay_out
from graft.reporting.figures.labels import Page, around
from graft.reporting.figures.source import Source
from graft.reporting.figures.style import KINDS, MARKER, REFERENCE, WIDTH, marks, name_task, numbers, seed_marks, styled
from graft.study.grid_systems import ORACLE

COLUMNS = (
    *("task", "number", "system", "kind", "metric", "cost", "mean", "low", "high", "dots"),
    *("pareto", "reference", "noted"),
)
# Up to this many systems are all numbered; of more, only the most interesting are.
_ALL_NUMBERED = 12
_FRONT: dict[str, Any] = {"color": "#999999", "lw": 1.0}
_LINE = 0.125  # inches per line of the key
_PANEL = 2.3  # inches


def data(source: Source, cost: str) -> pd.DataFrame:
    """One row per point, with its number; `cost`: a column of comparison.csv.

    `pareto`: on the Pareto front of this cost. `noted`: numbered in the figure, as all systems are if there are few;
    else those on the front, the fine-tuned models, the merge that is best on `select`, the search for it and the best
    control.
    """
    rows = [row for row in formats.records(source.comparison) if row["mean"] is not None and row[cost] is not None]
    found = []
    for task in dict.fromkeys(row["task"] for row in rows):
        own = [row for row in rows if row["task"] == task]
        means = pd.Series([None if row["kind"] == ORACLE else row["mean"] for row in own], dtype=object)
        front = pareto_front(means, pd.Series([row[cost] for row in own], dtype=object))
        controls = [row["mean"] for row in own if row["kind"] in ("control", "baseline")]
        for number, (row, pareto) in enumerate(zip(own, front, strict=True), start=1):
            control = row["kind"] in ("control", "baseline") and row["mean"] == max(controls)
            small = row["kind"] == "finetune" and row["system"].startswith("finetune.")
            best = row["chosen"] is True or row["kind"] == search.KIND
            noted = pareto or small or control or best or len(own) <= _ALL_NUMBERED
            point = (task, number, row["system"], row["kind"], row["metric"], row[cost], row["mean"], row["ci_low"])
            found.append((*point, row["ci_high"], source.dots(row), pareto, formats.is_reference(row), noted))
    return pd.DataFrame(found, columns=list(COLUMNS), dtype=object)


def draw(data: pd.DataFrame, label: str) -> Figure:
    """Draw means with intervals as bars or seeds as dots, the front as grey steps, the reference as a dashed line.

    A system whose cost is 0 has no place on a logarithmic axis and is drawn as a dotted line. `label`: of the cost.
    """
    rows = formats.records(data)
    common = common_pair(data["system"])
    noted = [row for row in rows if row["noted"]]
    handles = _handles(rows)
    # In inches: the legend of kinds above the panel, and the key to the numbers below.
    above, below = 0.125 * math.ceil(len(handles) / 3) + 0.24, 0.45
    height = above + _PANEL + below + _LINE * len(noted)
    figure = Figure(figsize=(WIDTH, height))
    axis = figure.add_axes((0.52 / WIDTH, (below + _LINE * len(noted)) / height, 2.8 / WIDTH, _PANEL / height))
    _limits(axis, rows)
    lay_out(axis, [row["cost"] for row in rows], label)
    axis.set_ylabel(rows[0]["metric"])
    name_task(figure, rows[0]["task"], above - 0.03, va="bottom")
    corners = _front(axis, rows)
    for row in rows:
        _point(axis, row)
    _number(axis, rows, corners)
    _key(figure, noted, common, height)
    gaps = {"handletextpad": 0.4, "columnspacing": 0.9, "labelspacing": 0.25}
    figure.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, 1 - 0.01 / height), ncols=3, **gaps)
    return figure


def _point(axis: Axes, row: formats.Row) -> None:
    colour = KINDS[row["kind"]][1]
    # Points that are not noted stay in the background.
    back: dict[str, Any] = {} if row["noted"] else {"alpha": 0.6}
    if row["reference"]:
        axis.axhline(row["mean"], **REFERENCE, zorder=1)
    if row["cost"] <= 0:
        axis.axhline(row["mean"], color=colour, lw=0.9, ls=":", zorder=1)
        return
    width, how, zorder = (0.8, {}, 4) if row["noted"] else (0.4, {"ms": 4}, 3)
    if row["low"] is not None:
        clipping.upright(axis, row["cost"], row["low"], row["high"], colour, lw=width, zorder=2, **back)
    dots = numbers(row["dots"])
    axis.plot([row["cost"]] * len(dots), dots, **seed_marks(row["kind"]), zorder=2, **back)
    axis.plot(row["cost"], row["mean"], **marks(row["kind"]) | how, zorder=zorder, **back)


def _limits(axis: Axes, rows: list[formats.Row]) -> None:
    ends = [row[key] for row in rows for key in ("low", "high") if row[key] is not None]
    ends += [value for row in rows for value in numbers(row["dots"])]
    axis.set_ylim(*clipping.span([row["mean"] for row in rows], ends))
    axis.grid(axis="y")


def _front(axis: Axes, rows: list[formats.Row]) -> list[tuple[float, float]]:
    """Draw the Pareto front as a step line, and return its corners as (cost, metric).

    If a system on the front costs 0, the line starts at the left edge.
    """
    front = sorted((row for row in rows if row["pareto"]), key=lambda row: (row["cost"], row["mean"]))
    if not front or all(row["cost"] <= 0 for row in rows):
        return []
    left, right = axis.get_xlim()
    corners: list[tuple[float, float]] = []
    for row in front:
        cost = max(row["cost"], left)
        corners += [(cost, corners[-1][1])] if corners else []
        corners.append((cost, row["mean"]))
    corners.append((right, corners[-1][1]))
    axis.plot(*zip(*corners, strict=True), **_FRONT, zorder=1)
    return corners


def _number(axis: Axes, rows: list[formats.Row], corners: list[tuple[float, float]]) -> None:
    to_points = 72 / axis.figure.dpi
    frame = axis.get_window_extent()
    left, right = axis.get_xlim()

    def place(cost: float, metric: float) -> tuple[float, float]:
        x, y = axis.transData.transform((cost or right, metric))
        return x * to_points, y * to_points

    def line(start: tuple[float, float], end: tuple[float, float]) -> labels.Box:
        (x, y), (u, v) = place(*start), place(*end)
        return min(x, u) - 1, min(y, v) - 1, max(x, u) + 1, max(y, v) + 1

    placed = [row for row in rows if row["cost"] > 0]
    bounds = (frame.x0 * to_points, frame.y0 * to_points, frame.x1 * to_points, frame.y1 * to_points)
    page = Page(bounds, [place(row["cost"], row["mean"]) for row in placed])
    page.taken += [line(start, end) for start, end in zip(corners, corners[1:], strict=False)]
    page.taken += [line((left, r["mean"]), (right, r["mean"])) for r in rows if r["reference"] or r["cost"] <= 0]
    page.taken += [around(*place(row["cost"], row["mean"]), MARKER + 1.5, MARKER + 1.5) for row in placed]
    page.taken += [line((r["cost"], r["low"]), (r["cost"], r["high"])) for r in placed if r["low"] is not None]
    page.taken += [around(*place(row["cost"], dot), 3, 3) for row in placed for dot in numbers(row["dots"])]
    # Place numbers of points on the front first, since they matter most.
    for row in sorted((row for row in rows if row["noted"]), key=lambda row: not row["pareto"]):
        x, y = place(row["cost"], row["mean"])
        dx, dy = page.place(x, y, str(row["number"]), of_line=row["cost"] <= 0)
        far = math.hypot(dx, dy) > labels.FAR and row["cost"] > 0
        arrow = {"arrowstyle": "-", "lw": 0.4, "color": KINDS[row["kind"]][1], "shrinkA": 3.5, "shrinkB": 0}
        axis.annotate(
            str(row["number"]), (row["cost"] or right, row["mean"]), (dx, dy), textcoords="offset points", ha="center",
            va="center", fontsize=labels.SIZE, fontweight=_weight(row), zorder=5, arrowprops=arrow if far else None,
        )  # fmt: skip


def _handles(rows: list[formats.Row]) -> list[Line2D]:
    """Legend handles: the kinds that occur, and the lines."""
    handles = []
    for kind, (_, colour, label) in KINDS.items():
        if any(row["kind"] == kind and row["cost"] > 0 for row in rows):
            handles.append(Line2D([], [], **marks(kind), label=label))
        if any(row["kind"] == kind and row["cost"] <= 0 for row in rows):
            handles.append(Line2D([], [], ls=":", lw=0.9, color=colour, label=f"{label}, costs 0"))
    handles.append(Line2D([], [], **_FRONT, label="Pareto front"))
    return [*handles, Line2D([], [], **REFERENCE, label="reference")]


def _key(figure: Figure, noted: list[formats.Row], common: str, height: float) -> None:
    """Write the key below the panel: the noted systems' names by number."""
    for index, row in enumerate(noted):
        y = (_LINE * (len(noted) - index) - 0.02) / height
        figure.text(0.3 / WIDTH, y, str(row["number"]), ha="right", va="center", fontsize=6, fontweight=_weight(row))
        figure.add_artist(Line2D([0.4 / WIDTH], [y], transform=figure.transFigure, **marks(row["kind"]) | {"ms": 4}))
        figure.text(0.48 / WIDTH, y, row["system"].removesuffix(common), ha="left", va="center", fontsize=6)


def _weight(row: formats.Row) -> str:
    return "bold" if row["pareto"] else "normal"


training = functools.partial(data, cost="train_flops")
inference = functools.partial(data, cost="inference_flops")
draw_training = styled(functools.partial(draw, label="training FLOPs"))
draw_inference = styled(functools.partial(draw, label="inference FLOPs per example of 128 tokens"))
