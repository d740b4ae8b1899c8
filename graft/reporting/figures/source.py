"""The data of figures: a study's tables, and through its paths the records and logs."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from graft.registry.scenarios import is_classical
from graft.reporting import predictions
from graft.reporting import runs as gathering
from graft.reporting.search import Parts
from graft.statistics.crossed import ALL, Crossed
from graft.study.grid import Grid
from graft.study.paths import Paths


@dataclass(frozen=True)
class Source:
    """A study with its tables comparison.csv and runs.csv (`every`)."""

    grid: Grid
    paths: Paths
    comparison: pd.DataFrame
    every: pd.DataFrame

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The runs of the systems in the comparison, which see all labels."""
        return gathering.with_all_labels(self.every, self.grid)

    @cached_property
    def classical(self) -> dict[str, Crossed]:
        """Finished runs' predictions by task, of the classical systems and of all that see few labels."""
        names = zip(self.every["system"], self.every["kind"], strict=True)
        of = [is_classical(name, kind) or self.grid.systems[name].labels is not None for name, kind in names]
        return predictions.crossed(self.every[of], self.grid.study, self.paths)

    @cached_property
    def parts(self) -> Parts:
        """Training FLOPs by part of all finished runs."""
        return gathering.parts(self.every, self.paths)

    def values(self, task: str, system: str) -> dict[Any, float]:
        """The metric of every finished run, by seed."""
        own = self.every[(self.every["task"] == task) & (self.every["system"] == system)]
        own = own[own["state"] == "done"]
        return dict(zip(own["seed"], own["value"], strict=True))

    def dots(self, row: dict[str, Any], low: str = "ci_low", to: str | None = None) -> str:
        """The values of a row's single seeds, or their differences to the system `to`, as text.

        They are drawn where there are too few for an interval; if the row has one (`low` is known), there are none.
        """
        if row[low] is not None:
            return ""
        found = self.values(row["task"], row["system"])
        if to is not None:
            others = self.values(row["task"], to)
            pairs = {s: (found.get(s, found.get(ALL)), other) for s, other in others.items()}
            found = {s: value - other for s, (value, other) in pairs.items() if value is not None}
        return " ".join(map(str, found.values()))
