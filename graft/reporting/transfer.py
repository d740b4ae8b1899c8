"""How the systems of a study do on other data sets: the comparison once more, in a table of its own."""

from __future__ import annotations

from graft.config.study import Study, Task
from graft.reporting import csv_files
from graft.reporting import runs as gathering
from graft.reporting.compared import compared
from graft.reporting.comparison import comparison
from graft.reporting.predictions import crossed
from graft.study.grid import Grid
from graft.study.paths import Paths

TRANSFER = "transfer.csv"


def write_transfer(grid: Grid, paths: Paths, refuse_stale: bool = True) -> None:
    """Compare the systems on every transfer; raises ValueError as `gather` and `predictions.crossed` do."""
    runs = gathering.gather(grid, paths, refuse_stale, grid.transfer_runs)
    study = as_tasks(grid)
    rows = compared(runs, Grid(study), crossed(runs, study, paths))
    csv_files.write_csv(comparison(rows, runs, study), paths.tables / TRANSFER)


def as_tasks(grid: Grid) -> Study:
    """The study with its transfers in the place of its tasks, as `compared` wants it.

    All of it is descriptive: the primary family, to which verdicts and Holm's correction belong, is of the study's own
    tasks. A margin is that of the task that the systems were trained on.
    """
    study, tasks = grid.study, {}
    for task, (_, transfer) in grid.transfers.items():
        row = grid.row(task)
        tasks[task] = Task(
            source=transfer.source,
            text=row.text,
            label=row.label,
            labels=row.labels,
            metrics=row.metrics,
            groups=row.groups,
        )
    margins = {t: m for t in tasks if (m := study.margin(grid.trained_on(t))) is not None}
    statistics = study.statistics.model_copy(update={"primary_family": (), "margins": margins})
    changes = {"tasks": tasks, "statistics": statistics, "include": ("*",), "exclude": (), "transfer": {}}
    return study.model_copy(update=changes)
