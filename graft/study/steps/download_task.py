"""Read a task's data set and split it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graft.config.sources import FileData, GeneratedData, HubData, recorded
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.step import TEXTS, Step, hash_of
from graft.tasks import generated
from graft.tasks.sources import content_hash, source_files


@dataclass(frozen=True)
class DownloadTask(Step):
    task: str

    rule = "download_task"
    local = True
    made = "data/{task}/manifest.json"
    files = TEXTS

    def inputs(self, grid: Grid) -> list[Step]:
        return []

    def outputs(self, grid: Grid, paths: Paths) -> list[Path]:
        return [self.output(paths), self.answers(paths)]

    def answers(self, paths: Paths) -> Path:
        """Labels of `report`, which only `evaluate` reads."""
        return paths.data(self.task) / "report_labels.parquet"

    def hashed(self, grid: Grid) -> str:
        row = grid.row(self.task)
        if self.task in grid.transfers:
            name, transfer = grid.transfers[self.task]
            source = _content(transfer.source, f"transfer.{name}.source", (transfer.split,))
            settings = [transfer.split, transfer.limits.model_dump(), transfer.labels]
            return hash_of("transfer data", source, *settings, row.text, row.label, row.labels)
        spec = grid.study.tasks[self.task]
        source = _content(spec.source, f"tasks.{self.task}.source")
        return hash_of("data", source, spec.limits.model_dump(), row.text, row.label, row.labels, row.groups)

    def depends_on(self, grid: Grid) -> str:
        if self.task in grid.transfers:
            name, _ = grid.transfers[self.task]
            return f"transfer.{name}: source (local files by sha256), split, text, label, labels, limits"
        return f"tasks.{self.task}: source (local files by sha256), text, label, labels, groups, limits"


def _content(source: HubData | FileData | GeneratedData, where: str, *splits: Any) -> dict[str, Any]:
    """Identify the rows of a data set: by its configured source, or by the sha256 of local files."""
    if isinstance(source, FileData):
        found = source_files(source, where, *splits)
        return {"kind": source.kind, **{split: content_hash(path) for split, path in found.items()}}
    version = {"version": generated.VERSION} if isinstance(source, GeneratedData) else {}
    return recorded(source) | version
