"""The predictions of all finished runs, as the statistics take them: one set of examples per task."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from graft.config.study import Study
from graft.registry.tasks import TaskRow
from graft.statistics.crossed import Crossed
from graft.study.paths import Paths
from graft.tasks.metrics import predictions


def crossed(runs: pd.DataFrame, study: Study, paths: Paths) -> dict[str, Crossed]:
    """Every task of `runs` (the table of `runs.gather`) with its finished runs' predictions on `report`.

    Raises ValueError where a run's examples or labels are not those of the task's other runs.
    """
    found = {}
    for task, of_task in runs.groupby("task", sort=False):
        done = of_task[of_task["state"] == "done"]
        row = study.tasks[task].row(task)
        labels, by_system = None, {}
        for system, seed in zip(done["system"], done["seed"], strict=True):
            path = paths.run(task, system, seed) / "predictions.parquet"
            answers, told = read(path, row)
            if labels is not None and not answers.equals(labels):
                raise ValueError(f"{path}: its examples are not those of {task}'s other runs; delete it and run again")
            labels = answers
            by_system.setdefault(system, {})[str(seed)] = told
        if labels is not None:
            statistics = study.statistics
            found[task] = Crossed(
                *(task, row.primary_metric, labels["label"].to_numpy(), by_system),
                draws=statistics.draws,
                confidence=statistics.confidence,
            )
    return found


def read(path: Path, row: TaskRow) -> tuple[pd.DataFrame, np.ndarray]:
    """Ids and labels of the examples of a predictions.parquet, and what was predicted: class ids or scores, [n].

    Raises ValueError where the file is missing or lacks a column.
    """
    if not path.is_file():
        raise ValueError(f"{path} is missing; delete the run.json beside it and run snakemake again")
    table = pd.read_parquet(path)
    columns = ["score"] if row.labels is None else [f"logit_{i}" for i in range(row.outputs)]
    missing = [name for name in ("id", "label", *columns) if name not in table.columns]
    if missing:
        raise ValueError(f"{path}: no column {missing[0]}; delete the run.json beside it and run snakemake again")
    return table[["id", "label"]], predictions(table[columns].to_numpy(), row)
