"""Compare the systems of a study on other data sets (transfers), in a separate table."""

from graft.config.study import Study
from graft.config.tasks import Task
from graft.reporting import csv_files
from graft.reporting import runs as gathering
from graft.reporting.comparison import comparison
from graft.reporting.differences import compared
from graft.reporting.predictions import crossed
from graft.study.grid import Grid
from graft.study.paths import Paths

TRANSFER = "transfer.csv"


def write_transfer(grid: Grid, paths: Paths, refuse_stale: bool = True) -> None:
    """Compare the systems on every transfer; raises ValueError like `gather` and `predictions.crossed`."""
    runs = gathering.gather(grid, paths, refuse_stale, grid.transfer_runs)
    study = as_tasks(grid)
    rows = compared(runs, Grid(study), crossed(runs, study, paths))
    csv_files.write_csv(comparison(rows, runs, study), paths.tables / TRANSFER)


def as_tasks(grid: Grid) -> Study:
    """Replace the study's tasks by its transfers, in the form `compared` takes.

    All results are descriptive: the primary family, with its verdicts and Holm's correction, is limited to the study's
    own tasks. Margins are those of the tasks on which the systems were trained.
    """
    study, tasks = grid.study, {}
    for task, (_, transfer) in grid.transfers.items():
        own = {name: getattr(grid.row(task), name) for name in ("text", "label", "labels", "metrics", "groups")}
        tasks[task] = Task(source=transfer.source, **own)
    margins = {t: m for t in tasks if (m := study.margin(grid.trained_on(t))) is not None}
    statistics = study.statistics.model_copy(update={"primary_family": (), "margins": margins})
    changes = {"tasks": tasks, "statistics": statistics, "include": ("*",), "exclude": (), "transfer": {}}
    return study.model_copy(update=changes)
