"""Read the predictions of all finished runs in the form the statistics take: one set of examples per task."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from graft.config.study import Study
from graft.io import files
from graft.registry.tasks import TaskRow
from graft.reporting.runs import finished_runs
from graft.statistics.crossed import Crossed
from graft.study.paths import Paths
from graft.tasks.metrics import predictions

# How the names of systems begin that are one draw of training seeds, of their members.
SOUP = "soup."


def unseen(runs: pd.DataFrame, study: Study, paths: Paths) -> dict[str, Crossed]:
    """As `crossed`, but without the examples that share a text with train or select.

    Tasks that an older version downloaded, which did not count these, are left out.
    """
    made = {
        task: files.read_json(file) for task in study.tasks if (file := paths.data(task) / "manifest.json").is_file()
    }
    known = {task: one["report_seen_in_train"] for task, one in made.items() if "report_seen_in_train" in one}
    return crossed(runs[runs["task"].isin(known)], study, paths, known)


def crossed(
    runs: pd.DataFrame, study: Study, paths: Paths, without: Mapping[str, Collection[int]] | None = None
) -> dict[str, Crossed]:
    """Collect the predictions on `report` of all finished runs in `runs` (the table from `runs.gather`), by task.

    `without`: ids of examples to leave out, by task. Raises ValueError if a run's examples or labels differ from those
    of the task's other runs.
    """
    settings, found, without = study.statistics, {}, without or {}
    for task, of_task in runs.groupby("task", sort=False):
        row, labels = study.tasks[task].row(task), None
        by_system: dict[str, dict[str, np.ndarray]] = {}
        for _, system, seed, folder in finished_runs(of_task, paths):
            path = folder / "predictions.parquet"
            answers, predicted = read(path, row)
            if labels is not None and not answers.equals(labels):
                raise ValueError(f"{path}: its examples differ from other runs' of {task}; delete it and run again")
            labels = answers
            kept = ~answers["id"].isin(without.get(task, ())).to_numpy()
            by_system.setdefault(system, {})[str(seed)] = predicted[kept]
        if labels is not None and kept.any():
            labels = labels[kept]
            given = labels["label"].to_numpy()
            soups = {system for system in by_system if system.startswith(SOUP)}
            found[task] = Crossed(
                task, row.primary_metric, given, by_system, settings.draws, settings.confidence, soups
            )
    return found


def read(path: Path, row: TaskRow) -> tuple[pd.DataFrame, np.ndarray]:
    """Read a predictions.parquet: ids and labels of its examples, and the predicted class ids or scores [n].

    Raises ValueError if the file is missing or lacks a column.
    """
    if not path.is_file():
        raise ValueError(f"{path} is missing; delete the run.json beside it and run snakemake again")
    table = pd.read_parquet(path)
    columns = ["score"] if row.labels is None else [f"logit_{i}" for i in range(row.outputs)]
    missing = [name for name in ("id", "label", *columns) if name not in table.columns]
    if missing:
        raise ValueError(f"{path}: no column {missing[0]}; delete the run.json beside it and run snakemake again")
    return table[["id", "label"]], predictions(table[columns].to_numpy(), row)
