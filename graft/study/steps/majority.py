"""Make the baseline that knows only the labels of train."""

from __future__ import annotations

from collections.abc import Mapping

from graft.study.grid import ALL_SEEDS, Grid
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.job import Job
from graft.study.steps.step import Making, Step, hash_of


class Majority(Making):
    rule = "majority"
    files = None  # a constant alone

    @classmethod
    def wildcard_names(cls) -> tuple[str, ...]:
        return ("task",)

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Majority:
        return cls(values["task"], "majority", ALL_SEEDS)

    @property
    def wildcards(self) -> tuple[str, ...]:
        return (self.task,)

    def job(self, grid: Grid) -> Job:
        return Job.of("make_systems", vars(self))

    def inputs(self, grid: Grid) -> list[Step]:
        return [DownloadTask(self.task)]

    def hashed(self, grid: Grid) -> str:
        return hash_of("majority", DownloadTask(self.task).fingerprint(grid), grid.row(self.task).primary_metric)

    def depends_on(self, grid: Grid) -> str:
        return f"tasks.{self.task}.metrics (the first)"
