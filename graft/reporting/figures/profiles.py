"""Performance profiles: the share of a system's runs above each score, over all tasks (Agarwal et al. 2021)."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from graft.io.names import common_pair
from graft.reporting import csv_files, formats
from graft.reporting.captions import ALL_TASKS
from graft.reporting.differences import pair_of
from graft.reporting.figures.source import Source
from graft.reporting.figures.style import LINES, WIDTH, name_task, styled
from graft.statistics.crossed import SEEDS_FOR_INTERVAL

COLUMNS = ("task", "tasks", "system", "score", "share", "low", "high")
_SCORES = np.linspace(0, 1.2, 121)
_DRAWS = 1000


def data(source: Source) -> pd.DataFrame:
    """One row per system and score, for the tasks and systems of aggregate.csv, the best system first.

    A score is normalised as there: 0 is the best constant prediction, 1 the reference's mean. `share`: of runs above
    it, each task counting the same; `low`, `high`: 95% of draws of runs within tasks, pointwise, with seeds enough.
    """
    path, found = source.paths.tables / csv_files.AGGREGATE, []
    aggregate = formats.records(csv_files.read_csv(path)) if path.is_file() else []
    rows = {(row["task"], row["system"]): row for row in formats.records(source.comparison)}
    rng = np.random.default_rng(0)
    for one in aggregate:
        name, shares, drawn = one["system"], [], []
        for task in one["tasks"].split():
            reference = rows[task, f"finetune.{pair_of(source.grid.systems[name], source.grid).large}"]
            floor, goal = float(reference["floor"]), float(reference["mean"])
            scores = (np.array([*source.values(task, name).values()], float) - floor) / (goal - floor)
            above = scores[:, None] > _SCORES
            shares.append(above.mean(axis=0))
            drawn.append(above[rng.integers(0, len(scores), (_DRAWS, len(scores)))].mean(axis=1))
        low, high = np.quantile(np.mean(drawn, axis=0), [0.025, 0.975], axis=0)
        known = one["iqm_low"] is not None and len(scores) >= SEEDS_FOR_INTERVAL
        ends = zip(low, high, strict=True) if known else [(None, None)] * len(_SCORES)
        for score, share, (lowest, highest) in zip(_SCORES, np.mean(shares, axis=0), ends, strict=True):
            found.append((ALL_TASKS, one["tasks"], name, score, share, lowest, highest))
    return pd.DataFrame(found, columns=list(COLUMNS), dtype=object)


@styled
def draw(data: pd.DataFrame) -> Figure:
    """Draw a line per system, with its band if there is one, for as many of the best as there are styles of lines."""
    systems = list(dict.fromkeys(data["system"]))[: len(LINES)]
    looks = [{key: look[key] for key in ("color", "ls")} for look in LINES]
    common, above, below = common_pair(systems), 0.24 + 0.13 * len(systems), 0.36
    height = above + 1.6 + below
    figure = Figure(figsize=(WIDTH, height))
    axis = figure.add_axes((0.42 / WIDTH, below / height, 1 - 0.5 / WIDTH, 1.6 / height))
    name_task(figure, "all tasks")
    for name, look in zip(systems, looks, strict=False):
        own = data[data["system"] == name].drop(columns=["task", "tasks", "system"]).astype(float)
        axis.plot(own["score"], own["share"], lw=1, **look, label=name.removesuffix(common))
        axis.fill_between(own["score"], own["low"], own["high"], color=look["color"], alpha=0.15, lw=0)
    axis.set_xlabel("normalised score", labelpad=1)
    axis.set_ylabel("share of runs above")
    figure.legend(loc="upper left", bbox_to_anchor=(0, 1 - 0.15 / height), labelspacing=0.2)
    return figure
