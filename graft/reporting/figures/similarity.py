"""Similarity (linear CKA) of a small and a large model's layers, and the pairs that depth maps join."""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from graft.io import files
from graft.registry import depth
from graft.reporting.figures.source import Source
from graft.reporting.figures.style import WIDTH, name_task, styled
from graft.study.steps import graph
from graft.study.steps.calibrate import Calibrate

COLUMNS = ("task", "pair", "small_layer", "large_layer", "cka", "depths")
# Marker of each depth map (all are black) and its horizontal offset in a cell, which may hold several.
_MARKS = dict(zip(depth.DEPTHS, [("o", -0.36), ("s", -0.18), ("^", 0.0), ("D", 0.18), ("v", 0.36)], strict=True))
_CELL = 0.27  # inches


def data(source: Source) -> pd.DataFrame:
    """One row per task, pair and pair of layers, from the output of `calibrate`; `depths`: maps that join the layers.

    Layer 0 is the embeddings. The table is empty for studies of older versions.
    """
    found: dict[tuple[str, str], tuple[list[list[float]], list[str]]] = {}
    for step in graph.of_study(source.grid):
        if isinstance(step, Calibrate) and (file := step.similarity(source.paths)).is_file():
            similarity = files.read_json(file)
            found.setdefault((step.task, step.pair), (similarity, []))[1].append(step.depth)
    rows = []
    for (task, pair), (similarity, names) in found.items():
        small, large = len(similarity) - 1, len(similarity[0]) - 1
        inner = [line[1:] for line in similarity[1:]]
        maps = {name: {(m + 1, g + 1) for m, g in depth.named(name, small, large, inner)} for name in names}
        for m, line in enumerate(similarity):
            for g, cka in enumerate(line):
                joined = " ".join(name for name in depth.DEPTHS if name in maps and (m, g) in maps[name])
                rows.append((task, pair, m, g, cka, joined))
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)


@styled
def draw(data: pd.DataFrame) -> Figure:
    """Draw a heat map per pair, darker for more similar layers, with marks for the study's depth maps."""
    pairs = [(name, own) for name, own in data.groupby("pair", sort=False)]
    heights = [_CELL * (own["small_layer"].max() + 1) + 0.55 for _, own in pairs]
    names = [name for name in depth.DEPTHS if data["depths"].map(lambda d, n=name: n in d.split()).any()]
    above = 0.26
    figure = Figure(figsize=(WIDTH, above + sum(heights)))
    top = above
    for (name, own), height in zip(pairs, heights, strict=True):
        size = (height - 0.55) / figure.get_figheight()
        bottom = 1 - (top + height - 0.37) / figure.get_figheight()
        _panel(figure.add_axes((0.42 / WIDTH, bottom, 2.9 / WIDTH, size)), own, name)
        top += height
    handles = [
        Line2D([], [], ls="", marker=_MARKS[name][0], ms=3.5, mfc="none", mec="#000000", mew=0.7, label=f"depth {name}")
        for name in names
    ]
    name_task(figure, data["task"].iloc[0])
    figure.legend(handles=handles, loc="upper right", ncols=4, handletextpad=0.1, columnspacing=1)
    return figure


def _panel(axis: Axes, own: pd.DataFrame, pair: str) -> None:
    table = own.pivot(index="small_layer", columns="large_layer", values="cka").astype(float)
    # vmax 1.5 keeps the dark end light enough for black marks.
    axis.imshow(table.to_numpy(), cmap="Greys", vmin=0, vmax=1.5, aspect="auto")
    small, large = pair.split("-into-", 1)
    axis.set_ylabel(f"{small}", labelpad=2)
    axis.set_xlabel(f"layer of {large} (0: embeddings)", labelpad=2)
    axis.set_xticks(range(table.shape[1]))
    axis.set_yticks(range(table.shape[0]))
    axis.tick_params(length=0)
    every = max(1, math.ceil(table.shape[1] / 13))
    for row in own.itertuples():
        if every == 1:
            cka = f"{row.cka:.2f}".lstrip("0")
            axis.text(row.large_layer, row.small_layer + 0.2, cka, ha="center", va="center", fontsize=5.5)
        for name in row.depths.split():
            marker, aside = _MARKS[name]
            axis.plot(row.large_layer + aside, row.small_layer - 0.22, marker, ms=3, mfc="none", mec="#000000", mew=0.7)
