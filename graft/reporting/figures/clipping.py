"""Keep one wide interval from ruling an axis: what lies far beyond the means is an arrow at the edge."""

from collections.abc import Iterable
from typing import Any

from matplotlib.axes import Axes

_LEAST = 0.03  # of a metric: the range of an axis is never that of noise alone


def span(means: Iterable[float], others: Iterable[float] = (), share: float = 0.8) -> tuple[float, float]:
    """The range of an axis: that of the means, and of as much of the others as is within a `share` of it beyond."""
    means, others = [*means], [*others]
    low, high = min(means), max(means)
    reach = max(high - low, _LEAST)
    lowest, highest = max(min([low, *others]), low - share * reach), min(max([high, *others]), high + share * reach)
    pad = 0.06 * max(highest - lowest, _LEAST)
    return lowest - pad, highest + pad


def upright(axis: Axes, x: float, low: float, high: float, colour: str, **how: Any) -> None:
    """Draw an interval as a vertical bar, with arrows where it leaves the axis, whose limits are set."""
    bottom, top = axis.get_ylim()
    axis.vlines(x, max(low, bottom), min(high, top), color=colour, **how)
    for edge, marker, beyond in ((bottom, "v", low < bottom), (top, "^", high > top)):
        if beyond:
            _arrow(axis, x, edge, marker, colour, how)


def level(axis: Axes, y: float, low: float, high: float, colour: str, **how: Any) -> None:
    """Draw an interval as a horizontal bar, likewise."""
    left, right = axis.get_xlim()
    axis.hlines(y, max(low, left), min(high, right), color=colour, **how)
    for edge, marker, beyond in ((left, "<", low < left), (right, ">", high > right)):
        if beyond:
            _arrow(axis, edge, y, marker, colour, how)


def _arrow(axis: Axes, x: float, y: float, marker: str, colour: str, how: dict[str, Any]) -> None:
    alpha, order = how.get("alpha", 1.0), how.get("zorder", 2)
    axis.plot(x, y, marker=marker, ms=2.8, color=colour, mew=0, alpha=alpha, clip_on=False, zorder=order)
