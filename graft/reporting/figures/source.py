"""The data of figures: a study's tables, records and logs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from graft.study.grid import Grid
from graft.study.paths import Paths


@dataclass(frozen=True)
class Source:
    """A study with its tables comparison.csv and runs.csv."""

    grid: Grid
    paths: Paths
    comparison: pd.DataFrame
    runs: pd.DataFrame

    def finished(self) -> Iterator[tuple[str, str, int | str, Path]]:
        """Task, system, seed and folder of every finished run."""
        done = self.runs[self.runs["state"] == "done"]
        for task, system, seed in zip(done["task"], done["system"], done["seed"], strict=True):
            yield task, system, seed, self.paths.run(task, system, seed)
