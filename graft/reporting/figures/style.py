"""The style of all figures: one column wide, readable without colour, the same bytes for the same data."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from graft.io import files

# The colour-blind-safe palette of Okabe and Ito (2008), and a brown; each kind also has its own marker, for greyscale.
KINDS = {
    "finetune": ("o", "#000000", "fine-tuned"),
    "weights": ("^", "#D55E00", "merge of weights"),
    "composite": ("D", "#009E73", "composite merge"),
    "soup": ("P", "#0072B2", "soup over seeds"),
    "multitask": ("h", "#F0E442", "shared encoder"),
    "search": ("p", "#8C564B", "search over merges"),
    "control": ("v", "#CC79A7", "control"),
    "oracle": ("*", "#999999", "oracle"),
    "probe": ("s", "#56B4E9", "probe"),
    "baseline": ("X", "#E69F00", "baseline"),
}
# Styles of lines in one panel, which also differ in dashes and markers.
LINES: tuple[dict[str, Any], ...] = (
    {"color": "#000000", "ls": "-", "marker": "o"},
    {"color": "#D55E00", "ls": "--", "marker": "^"},
    {"color": "#0072B2", "ls": "-.", "marker": "s"},
    {"color": "#009E73", "ls": ":", "marker": "D"},
    {"color": "#CC79A7", "ls": (0, (3, 1, 1, 1, 1, 1)), "marker": "v"},
    {"color": "#E69F00", "ls": (0, (6, 2)), "marker": "X"},
)
REFERENCE: dict[str, Any] = {"color": "#000000", "lw": 0.6, "ls": (0, (5, 4))}
MARKER = 5.5  # points
WIDTH = 3.4  # inches, one column of a two-column paper
FORMATS = ("svg", "png", "pdf")
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so that every machine draws the same
    "font.size": 7,
    "axes.titlesize": 8,
    "axes.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "grid.linewidth": 0.3,
    "grid.color": "#dddddd",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "text.parse_math": False,  # a study's texts are not formulas
    "svg.hashsalt": "graft",
    "pdf.fonttype": 42,  # keeps text as text, as journals require
}

Draw = Callable[[pd.DataFrame], Figure]


def styled(draw: Draw) -> Draw:
    """Decorate a drawing function so that it draws in this style."""

    @functools.wraps(draw)
    def drawn(data: pd.DataFrame) -> Figure:
        with matplotlib.rc_context(_STYLE):
            return draw(data)

    return drawn


def marks(kind: str) -> dict[str, Any]:
    """Plot options for the points of a kind of system."""
    marker, colour, _ = KINDS[kind]
    return {"marker": marker, "mfc": colour, "mec": "white", "mew": 0.5, "ms": MARKER, "ls": ""}


def seed_marks(kind: str) -> dict[str, Any]:
    """Plot options for the dots of single seeds."""
    return {"marker": "o", "mfc": "none", "mec": KINDS[kind][1], "mew": 0.6, "ms": 2.6, "ls": ""}


def numbers(dots: str) -> list[float]:
    """The numbers in a cell of `Source.dots`."""
    return [float(value) for value in dots.split()]


def name_task(figure: Figure, task: str, below: float = 0.03, va: str = "top") -> None:
    """Write the task's name at the left of a figure, `below` inches from its top."""
    top = 1 - below / figure.get_figheight()
    figure.text(0.02, top, task, fontsize=8, fontweight="bold", va=va)


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as svg, png or pdf (by its suffix), atomically and without a date."""
    path = Path(path)
    metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix, {})
    with matplotlib.rc_context(_STYLE), files.atomic_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=300, metadata=metadata)
