"""The CSV files of `results/<study>/tables`: their names, reading and writing them."""

from pathlib import Path
from typing import Any

import pandas as pd

from graft.io import files
from graft.io.workflow import COMMAND
from graft.reporting.comparison import COLUMNS
from graft.study.paths import Paths

RUNS = "runs.csv"
COMPARISON = "comparison.csv"
SIGNIFICANCE = "significance.csv"
MATCHED = "matched.csv"
ANSWER = "answer.csv"
AGGREGATE = "aggregate.csv"
COSTS = "cost.csv"
WARM_START = "warm-start.csv"


def read_comparison(paths: Paths) -> pd.DataFrame:
    """Read comparison.csv; raises ValueError if it lacks a column because an older version wrote it."""
    path = paths.tables / COMPARISON
    table = read_csv(path)
    if missing := [name for name in COLUMNS if name not in table]:
        raise ValueError(f"{path}: no column {missing[0]} (an older version wrote it); run `{COMMAND} tables`")
    return table


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table atomically: floats by repr, booleans as true and false, None as an empty cell."""
    # By column, since DataFrame.map converts integers beside empty cells to floats.
    written = pd.DataFrame({name: pd.Series(_plain(values), dtype=object) for name, values in table.items()})
    with files.atomic_file(path) as temporary:
        written.to_csv(temporary, index=False, lineterminator="\n")


def _plain(values: pd.Series) -> list[Any]:
    return [str(value).lower() if isinstance(value, bool) else value for value in values]


def read_csv(path: Path) -> pd.DataFrame:
    """Read a table that `write_csv` wrote, with exact numbers and None for empty cells."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table; make it with `snakemake tables` or `{COMMAND} tables`")
    table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    return table.astype(object).where(table.notna(), None)
