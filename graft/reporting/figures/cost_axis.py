"""The logarithmic axis of a cost, with a separate place at the left for what costs nothing."""

import math
from collections.abc import Iterable

from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator

from graft.reporting import formats

_ROOM = 0.12  # of the axis: the place of what costs nothing


def lay_out(axis: Axes, costs: Iterable[float], label: str, with_zero: bool = False) -> float:
    """Make the x axis hold these costs, with ticks written as in the tables.

    Returns where on it a cost of 0 is: in a shaded place at the left if `with_zero`, else at the left edge.
    """
    logs = [math.log10(cost) for cost in costs if cost > 0] or [0.0]
    margin = max(0.15, 0.09 * (max(logs) - min(logs)))
    low, high = min(logs) - margin, max(logs) + margin
    room = (high - low) * _ROOM / (1 - _ROOM) if with_zero else 0.0
    axis.set_xscale("log")
    axis.set_xlim(10 ** (low - room), 10**high)
    axis.set_xlabel(label)
    axis.tick_params(which="minor", length=1.5, width=0.4, pad=5.5)  # in line with the others
    ticks = [(10.0**power, _written(10.0**power)) for power in range(math.ceil(low), math.floor(high) + 1)]
    # Over two decades or less, ticks at 2 and 5 are labelled too, and there are no others.
    wide = high - low > 2
    between = [
        n * 10.0**power for power in range(math.floor(low), math.ceil(high)) for n in (range(2, 10) if wide else (2, 5))
    ]
    between = [at for at in between if low < math.log10(at) < high]
    if with_zero:
        ticks.insert(0, (10 ** (low - room / 2), "0"))
        axis.axvspan(10 ** (low - room), 10**low, color="#f0f0f0", lw=0, zorder=0)
    axis.xaxis.set_major_locator(FixedLocator([at for at, _ in ticks]))
    axis.xaxis.set_major_formatter(FixedFormatter([text for _, text in ticks]))
    axis.xaxis.set_minor_locator(FixedLocator(between))
    axis.xaxis.set_minor_formatter(FixedFormatter([""] * len(between) if wide else [*map(_written, between)]))
    return 10 ** (low - room / 2)


def _written(cost: float) -> str:
    return formats.flops(cost).replace(".0", "")
