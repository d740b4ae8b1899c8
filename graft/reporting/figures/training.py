"""Training curves: the loss by step and the score on `select` by epoch, from training.jsonl."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from graft.reporting.figures.source import Source
from graft.reporting.figures.style import WIDTH, name_task, styled
from graft.reporting.runs import finished_runs

COLUMNS = ("task", "system", "metric", "seed", "step", "epoch", "loss", "select")
LOG = "training.jsonl"
_ROW = 0.72  # inches


def data(source: Source) -> pd.DataFrame:
    """One row per log line of finished runs: steps have a `step`, ends of epochs a score on `select`.

    Without budget points, which have a score at their end only.
    """
    found = []
    for task, system, seed, folder in finished_runs(source.runs, source.paths):
        if source.grid.systems[system].program == "budget":
            continue
        lines = _read(folder / LOG) if (folder / LOG).is_file() else []
        metric = next((line["metric"] for line in lines if "metric" in line), None)
        for line in lines:
            values = [line.get(name) for name in ("step", "epoch", "loss", "select")]
            found.append((task, system, metric, seed, *values))
    return pd.DataFrame(found, columns=list(COLUMNS), dtype=object)


def _read(log: Path) -> list[dict[str, Any]]:
    """Read a log; raises ValueError naming the file if a line is not JSON."""
    try:
        return [json.loads(line) for line in log.read_text().splitlines()]
    except json.JSONDecodeError as error:
        raise ValueError(f"{log}: not valid JSON ({error}); delete the run's folder and run snakemake again") from None


@styled
def draw(data: pd.DataFrame) -> Figure:
    """Draw a row of two panels per system, with a line per seed; the dot is the epoch that is best on `select`."""
    systems = [(name, own) for name, own in data.groupby("system", sort=False)]
    gap, above, below = 0.26, 0.5, 0.36
    height = above + len(systems) * _ROW + (len(systems) - 1) * gap + below
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(len(systems), 2, squeeze=False, sharex="col")
    figure.subplots_adjust(
        left=0.42 / WIDTH, right=1 - 0.06 / WIDTH, top=1 - above / height, bottom=below / height, wspace=0.3,
        hspace=gap / _ROW,
    )  # fmt: skip
    for (loss, select), (name, own) in zip(axes, systems, strict=True):
        loss.set_title(name, loc="left", fontsize=6.5, pad=3)
        for index, (_, run) in enumerate(own.groupby("seed", sort=False)):
            look = {"color": "#0072B2", "lw": 0.8, "alpha": 0.8, "ls": ("-", "--", "-.", ":")[index % 4]}
            of_step = run[run["step"].notna() & run["loss"].notna()]
            loss.plot(of_step["step"].astype(float), of_step["loss"].astype(float), **look)
            of_epoch = run[run["select"].notna()]
            epochs, scores = of_epoch["epoch"].astype(float), of_epoch["select"].astype(float)
            select.plot(epochs, scores, **look | {"color": "#D55E00"})
            if len(scores):
                best = scores.idxmax()
                select.plot(epochs[best], scores[best], "o", ms=3, color="#D55E00")
        for axis in (loss, select):
            axis.grid(axis="y")
    axes[-1][0].set_xlabel("step")
    axes[-1][1].set_xlabel("epoch")
    axes[-1][1].xaxis.get_major_locator().set_params(integer=True)
    metric = next((value for value in data["metric"] if value is not None), "score")
    name_task(figure, data["task"].iloc[0])
    for x, text in ((0.42 / WIDTH, "training loss"), (0.56, f"{metric} on select")):
        figure.text(x, 1 - 0.19 / height, text, fontsize=7, va="top")
    return figure
