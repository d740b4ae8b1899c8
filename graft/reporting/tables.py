"""The files of `results/<study>/tables` and `figures`: read, made and written whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from graft import files
from graft.grid import Grid
from graft.paths import Paths
from graft.reporting import cost_table, documents, latex, warm_start
from graft.reporting import runs as gathering
from graft.reporting.aggregate import aggregated
from graft.reporting.compared import compared
from graft.reporting.comparison import COLUMNS, comparison
from graft.reporting.predictions import crossed
from graft.reporting.significance import significance

RUNS = "runs.csv"
COMPARISON = "comparison.csv"
SIGNIFICANCE = "significance.csv"
AGGREGATE = "aggregate.csv"
COSTS = "cost.csv"
WARM_START = "warm-start.csv"


def write_runs(grid: Grid, paths: Paths, refuse_stale: bool = True) -> None:
    """Gather all run.json files into runs.csv; raises ValueError as `gather` does."""
    write_csv(gathering.gather(grid, paths, refuse_stale), paths.tables / RUNS)


def write_comparison(grid: Grid, paths: Paths) -> None:
    """Compare the systems of runs.csv by their predictions: comparison.*, significance.csv, aggregate.csv.

    And warm-start.csv, where there are any. Raises ValueError as `predictions.crossed` does.
    """
    runs = read_csv(paths.tables / RUNS)
    tasks = crossed(runs, grid.study, paths)
    rows = compared(runs, grid, tasks)
    table, tests, together = comparison(rows, runs, grid.study), significance(rows, tasks), aggregated(rows, tasks)
    for name, written in ((COMPARISON, table), (SIGNIFICANCE, tests), (AGGREGATE, together)):
        write_csv(written, paths.tables / name)
    parts = documents.sections(table, tests, together, grid.study.statistics.confidence)
    texts = {"md": documents.to_markdown(parts), "html": documents.to_html(parts, grid.study.name)}
    for ending, text in (texts | {"tex": latex.to_latex(table, grid.study.statistics.confidence)}).items():
        with files.atomic_file((paths.tables / COMPARISON).with_suffix(f".{ending}")) as temporary:
            temporary.write_text(text)
    if grid.study.systems.warm_start:
        write_csv(warm_start.curves(table, grid), paths.tables / WARM_START)


def write_costs(grid: Grid, paths: Paths) -> None:
    """Put together what the runs of runs.csv record and what was measured: cost.csv."""
    runs = read_csv(paths.tables / RUNS)
    table = cost_table.table(runs, grid, cost_table.read_made(runs, paths), cost_table.read_measured(grid, paths))
    write_csv(table, paths.tables / COSTS)


def read_comparison(paths: Paths) -> pd.DataFrame:
    """Read comparison.csv; raises ValueError where an older version wrote it, with fewer columns."""
    path = paths.tables / COMPARISON
    table = read_csv(path)
    if missing := [name for name in COLUMNS if name not in table]:
        raise ValueError(f"{path}: no column {missing[0]}, an older version wrote it; call `python -m graft tables`")
    return table


def write_figures(grid: Grid, paths: Paths) -> None:
    """Draw what there is data for: `figures/<figure>.<task>.{svg,png,pdf}`, and what is drawn as csv beside them."""
    from graft.reporting.figures import catalogue
    from graft.reporting.figures.source import Source

    source = Source(grid, paths, read_comparison(paths), read_csv(paths.tables / RUNS))
    catalogue.write(source, paths.figures)


def write_report(grid: Grid, paths: Paths) -> None:
    """Write report.html from the tables, records and figures that exist."""
    from graft.reporting.page.contents import contents
    from graft.reporting.page.rendering import render

    with files.atomic_file(paths.report) as temporary:
        temporary.write_text(render(contents(grid, paths)))


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table, atomically: floats by repr, booleans as true and false, nothing for None."""
    # By column, since DataFrame.map makes floats of integers that stand beside empty cells.
    written = pd.DataFrame({name: pd.Series(_plain(values), dtype=object) for name, values in table.items()})
    with files.atomic_file(path) as temporary:
        written.to_csv(temporary, index=False, lineterminator="\n")


def _plain(values: pd.Series) -> list[Any]:
    return [str(value).lower() if isinstance(value, bool) else value for value in values]


def read_csv(path: Path) -> pd.DataFrame:
    """Read a table of `write_csv`, every number as it was written and None where nothing stands."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table; `snakemake tables` or `python -m graft tables` makes it")
    table = pd.read_csv(path, keep_default_na=False, na_values=[""])
    return table.astype(object).where(table.notna(), None)
