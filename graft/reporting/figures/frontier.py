"""The metric against a cost in one scenario: the classical systems' frontier, and where the merges are beside it."""

import functools
import math
import textwrap
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke

from graft.io.names import common_pair
from graft.reporting import formats
from graft.reporting.figures import clipping, frontier_rows
from graft.reporting.figures.cost_axis import lay_out
from graft.reporting.figures.labels import Box, Page, around
from graft.reporting.figures.rows import folded
from graft.reporting.figures.style import KINDS, WIDTH, marks, numbers, seed_marks, styled

_PANEL = 2.45  # inches
_LINE: dict[str, Any] = {"color": "#333333", "lw": 1.1}
_BAND: dict[str, Any] = {"color": "#333333", "alpha": 0.13, "lw": 0}
_NAMED, _OTHER = 6.0, 4.0  # sizes of marks, in points
_LETTER = 3.3  # mean width of a letter of a label, in points
_FAR = 40  # points by which a mark is moved at most
_LABEL = 6.0  # font size of labels
_HALO = [withStroke(linewidth=1.6, foreground="white")]


def draw(data: pd.DataFrame, label: str) -> Figure:
    """Draw the frontier as steps with its band, and a mark per system; the named ones are larger and have labels.

    The axis of the metric is that of the frontier and the named; an arrow at its edge stands for what is beyond.
    """
    rows = formats.records(data)
    title = textwrap.wrap(rows[0]["says"], 50)
    handles = _handles(rows)
    # In inches: title, panel, label of the axis and legend.
    above, below = 0.135 * max(2, len(title)) + 0.3, 0.42 + 0.125 * math.ceil(len(handles) / 3)
    height = above + _PANEL + below
    figure = Figure(figsize=(WIDTH, height))
    axis = figure.add_axes((0.38 / WIDTH, below / height, 2.96 / WIDTH, _PANEL / height))
    free = lay_out(axis, [row["cost"] for row in rows], label, any(row["cost"] <= 0 for row in rows))
    for row in rows:
        row["at"] = row["cost"] if row["cost"] > 0 else free
    axis.set_ylim(*_limits(rows))
    axis.grid(axis="y")
    for row in (row for row in rows if row["limit"]):
        axis.axvline(row["at"], color="#999999", lw=0.6, ls=(0, (1, 2)), zorder=1)
        axis.annotate(
            f"{row['limit']} model", (row["at"], 1), (0, 1.5), xycoords=("data", "axes fraction"),
            textcoords="offset points", ha="center", fontsize=_LABEL, color="#555555",
        )  # fmt: skip
    corners = _frontier(axis, rows)
    _spread(axis, rows)
    for row in rows:
        _mark(axis, row)
    _name(axis, rows, corners)
    figure.text(0.02, 1 - 0.03 / height, "\n".join(title), fontsize=8, fontweight="bold", va="top", linespacing=1.15)
    y = 1 - (0.06 + 0.135 * len(title)) / height
    figure.text(0.02, y, _where(rows[0]), fontsize=6.5, color="#555555", va="top")
    gaps = {"handletextpad": 0.4, "columnspacing": 1.0, "labelspacing": 0.3}
    figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 0), ncols=3, **gaps)
    return figure


def _where(row: formats.Row) -> str:
    same = (row["same_in"] or "").split()
    scenarios = row["scenario"] + (
        f" (as {same[0]})" if len(same) == 1 else f" (as {len(same)} others)" if same else ""
    )
    seeds = f"{row['seeds']} {'seed' if row['seeds'] == 1 else 'seeds'}"
    return f"{row['task']}, {scenarios}; {row['metric']}, mean of {seeds}"


def _limits(rows: list[formats.Row]) -> tuple[float, float]:
    """The range of the means on the frontier and of the named; intervals and other means may extend it somewhat."""
    main = [row for row in rows if row["kind"] != "baseline" and (row["role"] or row["mean"] == row["best"])] or rows
    low, high = min(row["mean"] for row in main), max(row["mean"] for row in rows)
    others = [row[end] for row in main for end in ("low", "high") if row[end] is not None]
    others += [value for row in main for value in numbers(row["dots"] or "")]
    others += [row["mean"] for row in rows if row["mean"] > low - max(high - low, 0.03)]
    return clipping.span([low, high], others)


def _frontier(axis: Axes, rows: list[formats.Row]) -> list[tuple[float, float]]:
    """Draw the frontier and its band; returns the corners."""
    steps = [row for row in rows if row["classical"]]
    if not steps:
        return []
    right, at = axis.get_xlim()[1], [row["at"] for row in steps]
    best = [row["best"] for row in steps]
    axis.step([*at, right], [*best, best[-1]], where="post", **_LINE, zorder=2)
    known = [row for row in steps if row["best_low"] is not None]
    if known:
        end = right if len(known) == len(steps) else steps[len(known)]["at"]
        low, high = ([*(row[key] for row in known), known[-1][key]] for key in ("best_low", "best_high"))
        axis.fill_between([*at[: len(known)], end], low, high, step="post", **_BAND, zorder=1)
    return [corner for x, y, to in zip(at, best, [*at[1:], right], strict=True) for corner in ((x, y), (to, y))]


def _spread(axis: Axes, rows: list[formats.Row]) -> None:
    """Move marks of nearly the same cost and metric to the side, so that none hides another: sets `x` of every row."""
    low, high = axis.get_ylim()
    left, right = map(math.log10, axis.get_xlim())
    size = axis.get_window_extent()
    across, up = size.width * 72 / axis.figure.dpi, size.height * 72 / axis.figure.dpi
    taken: list[tuple[float, float, float]] = []
    for row in sorted(rows, key=lambda row: (not row["role"], not row["classical"], -row["mean"])):
        x = (math.log10(row["at"]) - left) / (right - left) * across
        row["y"] = min(max(row["mean"], low), high)
        y, own = (row["y"] - low) / (high - low) * up, _size(row)
        tried = [x + side * step for step in range(_FAR) for side in ((1, -1) if step else (1,))]

        def covered(at: float, y: float = y, own: float = own) -> float:
            # Twice as far from those above and below, so that intervals can be distinguished.
            return sum(max(0.0, 0.5 * (own + other) - math.hypot(at - u, (y - v) / 2)) for u, v, other in taken)

        at = min((at for at in tried if own / 2 < at < across - own / 2), key=covered, default=x)
        taken.append((at, y, own))
        row["x"] = 10 ** (left + at / across * (right - left))


def _size(row: formats.Row) -> float:
    return _NAMED if row["role"] else _OTHER


def _mark(axis: Axes, row: formats.Row) -> None:
    low, high = axis.get_ylim()
    colour, named = KINDS[row["kind"]][1], bool(row["role"])
    strength: dict[str, Any] = {"alpha": 1.0, "lw": 1.0} if named else {"alpha": 0.35, "lw": 0.6}
    order = 5 if named else 3
    if row["mean"] < low:
        axis.plot(row["x"], low, marker="v", ms=3.5, mfc="none", mec=colour, mew=0.7, clip_on=False, zorder=4)
        return
    if row["low"] is not None:
        clipping.upright(axis, row["x"], row["low"], row["high"], colour, **strength, zorder=order)
    for dot in numbers(row["dots"] or ""):
        if low <= dot <= high:
            seed = seed_marks(row["kind"]) | ({} if named else {"ms": 1.6, "mew": 0.4, "alpha": 0.6})
            axis.plot(row["x"], dot, **seed, zorder=order)
    how = {"ms": _size(row), "alpha": 1.0 if named or row["mean"] == row["best"] else 0.75}
    axis.plot(row["x"], row["mean"], **marks(row["kind"]) | how, zorder=order + 1)


def _name(axis: Axes, rows: list[formats.Row], corners: list[tuple[float, float]]) -> None:
    to_points = 72 / axis.figure.dpi
    frame = axis.get_window_extent()

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = axis.transData.transform((x, y))
        return across * to_points, up * to_points

    def line(start: tuple[float, float], end: tuple[float, float], width: float = 1.0) -> Box:
        (x, y), (u, v) = place(*start), place(*end)
        return min(x, u) - width, min(y, v) - width, max(x, u) + width, max(y, v) + width

    low, high = axis.get_ylim()
    page = Page(tuple(edge * to_points for edge in (frame.x0, frame.y0, frame.x1, frame.y1)), [])
    page.taken += [line(start, end, 1.5) for start, end in zip(corners, corners[1:], strict=False)]
    for row in rows:
        page.taken.append(around(*place(row["x"], row["y"]), _size(row) + 1, _size(row) + 1))
        if row["low"] is not None and row["role"]:
            page.taken.append(line((row["x"], max(row["low"], low)), (row["x"], min(row["high"], high))))
        page.taken += [around(*place(row["x"], dot), 3, 3) for dot in numbers(row["dots"] or "") if row["role"]]
    common = common_pair([row["system"] for row in rows])
    order = (frontier_rows.BEST_MERGE, frontier_rows.RIVAL)
    named = [row for row in rows if row["role"]]
    for row in sorted(named, key=lambda row: not row["role"].startswith(order)):
        text = f"{folded(row['system'].removesuffix(common), 26)}\n{row['role']}"
        lines = text.split("\n")
        width, height = _LETTER * max(map(len, lines)) + 2, (_LABEL + 1.0) * len(lines)
        x, y = place(row["x"], row["y"])
        dx, dy = page.beside(x, y, width, height)
        colour = KINDS[row["kind"]][1]
        far = max(abs(dx) - width / 2, abs(dy) - height / 2) > 9
        arrow = {"arrowstyle": "-", "lw": 0.5, "color": colour, "shrinkA": 0, "shrinkB": 3.5}
        axis.annotate(
            text, (row["x"], row["y"]), (dx, dy), textcoords="offset points", ha="center", va="center",
            fontsize=_LABEL, linespacing=1.0, zorder=7, color="#111111", path_effects=_HALO,
            arrowprops=arrow if far else None,
        )  # fmt: skip


def _handles(rows: list[formats.Row]) -> list[Line2D | Patch]:
    found: list[Line2D | Patch] = [Line2D([], [], **_LINE, label="best classical so far")]
    if any(row["best_low"] is not None for row in rows):
        found.append(Patch(**_BAND, label="its interval"))
    for kind, (_, _, label) in KINDS.items():
        if any(row["kind"] == kind for row in rows):
            found.append(Line2D([], [], **marks(kind), label=label))
    return [
        *found,
        Line2D([], [], ls="", marker="v", ms=3.5, mfc="none", mec="#555555", mew=0.7, label="below the axis"),
    ]


training = functools.partial(frontier_rows.rows, cost="train_flops")
inference = functools.partial(frontier_rows.rows, cost="inference_flops")
draw_training = styled(functools.partial(draw, label="training FLOPs, in the scenario's accounting"))
draw_inference = styled(functools.partial(draw, label="inference FLOPs per example of 128 tokens"))
