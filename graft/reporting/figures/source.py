"""The data of figures: a study's tables, and through its paths the records and logs."""

from dataclasses import dataclass

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
