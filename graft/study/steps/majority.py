"""Make the baseline that knows only the labels of train."""

from graft.study.grid import Grid
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.job import Job
from graft.study.steps.step import Making, Step, hash_of


class Majority(Making):
    rule = "majority"
    files = None  # a constant alone

    def job(self, grid: Grid) -> Job:
        return Job.of("make_systems", vars(self))

    def inputs(self, grid: Grid) -> list[Step]:
        return [DownloadTask(self.task)]

    def hashed(self, grid: Grid) -> str:
        return hash_of("majority", DownloadTask(self.task).fingerprint(grid), grid.row(self.task).primary_metric)

    def depends_on(self, grid: Grid) -> str:
        return f"tasks.{self.task}.metrics (the first)"
