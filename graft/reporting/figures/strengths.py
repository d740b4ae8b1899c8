"""The merges' scores on `select` at every strength tried, and the strengths chosen."""

from statistics import fmean
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from graft.reporting.differences import pair_of
from graft.reporting.figures.panels import grid_of
from graft.reporting.figures.rows import folded
from graft.reporting.figures.source import Source
from graft.reporting.figures.style import LINES, styled
from graft.reporting.runs import finished_runs
from graft.study import records
from graft.study.grid_systems import ORACLE

COLUMNS = ("task", "merge", "head", "system", "metric", "seed", "strength", "score", "chosen")
_HEADLESS = "no choice of head"


def data(source: Source) -> pd.DataFrame:
    """One row per run and strength with the best score over ridge sizes, from the choices in run.json."""
    found = []
    for task, name, seed, folder in finished_runs(source.runs, source.paths):
        system = source.grid.systems[name]
        if not system.merge:
            continue
        record = records.read(folder / "run.json")
        for choice in (choice for choice in record.choices if choice.name == "strength"):
            best: dict[float, float] = {}
            for tried in choice.searched:
                if tried.score is not None:
                    best[tried.value] = max(tried.score, best.get(tried.value, tried.score))
            prefix = "other-small." if name.startswith("control.other-small.") else "oracle." * (system.kind == ORACLE)
            pair = pair_of(system, source.grid)
            suffix = "" if pair in source.grid.study.pairs[:1] else f".{pair.small}"
            own = (task, f"{prefix}{system.merge}{suffix}", system.head or _HEADLESS, name, choice.metric, seed)
            found += [(*own, strength, score, strength == choice.chosen) for strength, score in sorted(best.items())]
    return pd.DataFrame(found, columns=list(COLUMNS), dtype=object)


@styled
def draw(data: pd.DataFrame) -> Figure:
    """Draw a panel per merge: thin lines are seeds, thick ones their mean, circles the strengths chosen."""
    heads = list(dict.fromkeys(data["head"]))
    looks = dict(zip(heads, LINES, strict=False))
    handles = [Line2D([], [], lw=1.2, ms=3, **looks[head], label=head) for head in heads]
    circle: dict[str, Any] = {"ls": "", "marker": "o", "ms": 6, "mfc": "none", "mew": 0.6}
    handles.append(Line2D([], [], **circle, mec="#555555", label="chosen by a seed"))
    merges = list(dict.fromkeys(data["merge"]))
    figure, axes = grid_of(len(merges), data["task"].iloc[0], handles, 0.85)
    for index, (axis, merge) in enumerate(zip(axes, merges, strict=True)):
        axis.set_title(folded(merge, 27), loc="left", fontsize=6, pad=3, linespacing=0.95)
        if index % 2 == 0:
            axis.set_ylabel(f"{data['metric'].iloc[0]} on select", fontsize=6)
        if index >= len(merges) - 2:
            axis.set_xlabel("strength")
        for head, of_head in data[data["merge"] == merge].groupby("head", sort=False):
            look = looks[head]
            for _, run in of_head.groupby("seed", sort=False):
                axis.plot(run["strength"], run["score"], color=look["color"], lw=0.4, alpha=0.5, zorder=2)
                chosen = run[run["chosen"].astype(bool)]
                axis.plot(chosen["strength"], chosen["score"], **circle, mec=look["color"], zorder=4)
            # Random strengths differ between seeds, so they have no mean.
            by_strength = of_head.groupby("strength")["score"].agg(list)
            if by_strength.map(len).nunique() == 1:
                means = [fmean(scores) for scores in by_strength]
                axis.plot(list(by_strength.index), means, lw=1.2, ms=3, **look, zorder=3)
    return figure
