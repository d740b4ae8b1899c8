"""Read a task from its source, carve out `select`, and write its splits; for a transfer, only the report split."""

from graft.study import program
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.download_task import DownloadTask
from graft.tasks.prepare import prepare_task
from graft.tasks.transferred import prepare_transfer


def make(step: DownloadTask, grid: Grid, paths: Paths) -> None:
    out = paths.data(step.task)
    if step.task in grid.transfers:
        name, transfer = grid.transfers[step.task]
        manifest = prepare_transfer(name, transfer, grid.row(transfer.task), out, step.fingerprint(grid))
    else:
        manifest = prepare_task(step.task, grid.study.tasks[step.task], out, step.fingerprint(grid))
    print(step.task, manifest["rows"], manifest["label_balance"])


if __name__ == "__main__":
    program.run_step(DownloadTask, __doc__, threads=False)
