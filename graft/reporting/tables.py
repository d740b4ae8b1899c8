"""Write the outputs in `results/<study>`: tables, figures and the report, each from the files before it."""

from graft.io import files
from graft.reporting import cost_table, csv_files, documents, latex, warm_start
from graft.reporting import runs as gathering
from graft.reporting.aggregate import aggregated
from graft.reporting.answer import answer
from graft.reporting.comparison import comparison
from graft.reporting.csv_files import COMPARISON, RUNS, read_csv, write_csv
from graft.reporting.differences import compared
from graft.reporting.matched import matched
from graft.reporting.predictions import crossed, unseen
from graft.reporting.search import with_searches
from graft.reporting.significance import significance
from graft.study.grid import Grid
from graft.study.paths import Paths


def write_runs(grid: Grid, paths: Paths, refuse_stale: bool = True) -> None:
    """Gather all run.json files into runs.csv; raises ValueError like `gather`."""
    write_csv(gathering.gather(grid, paths, refuse_stale), paths.tables / RUNS)


def write_comparison(grid: Grid, paths: Paths) -> None:
    """Compare the systems of runs.csv by their predictions: comparison.*, significance.csv, aggregate.csv,
    matched.csv, answer.csv.

    Also writes warm-start.csv if the study has warm starts. Raises ValueError like `predictions.crossed`.
    """
    every = read_csv(paths.tables / RUNS)
    runs = gathering.with_all_labels(every, grid)
    tasks = crossed(every, grid.study, paths)
    rows = compared(runs, grid, tasks)
    table = comparison(rows, runs, grid.study, unseen(runs, grid.study, paths))
    parts = gathering.parts(every, paths)
    table = with_searches(table, parts)
    against = matched(every, grid, tasks, parts)
    answers = answer(against, every, grid, tasks, parts, gathering.unmerged(every, paths))
    tests, together = significance(rows, tasks), aggregated(rows, tasks)
    found = {COMPARISON: table, csv_files.SIGNIFICANCE: tests, csv_files.AGGREGATE: together}
    for name, written in (found | {csv_files.MATCHED: against, csv_files.ANSWER: answers}).items():
        write_csv(written, paths.tables / name)
    sections = documents.sections(table, tests, together, grid.study.statistics.confidence)
    texts = {"md": documents.to_markdown(sections), "html": documents.to_html(sections, grid.study.name)}
    for ending, text in (texts | {"tex": latex.to_latex(table, grid.study.statistics.confidence)}).items():
        with files.atomic_file((paths.tables / COMPARISON).with_suffix(f".{ending}")) as temporary:
            temporary.write_text(text)
    if grid.study.systems.warm_start:
        write_csv(warm_start.curves(table, grid), paths.tables / csv_files.WARM_START)


def write_costs(grid: Grid, paths: Paths) -> None:
    """Combine the costs that runs in runs.csv record with the measurements: cost.csv."""
    runs = gathering.with_all_labels(read_csv(paths.tables / RUNS), grid)
    table = cost_table.table(runs, grid, cost_table.read_made(runs, paths), cost_table.read_measured(grid, paths))
    write_csv(table, paths.tables / csv_files.COSTS)


def write_figures(grid: Grid, paths: Paths) -> None:
    """Draw every figure that has data: `figures/<figure>.<task>.{svg,png,pdf}`, with the data as csv beside them."""
    from graft.reporting.figures import catalogue
    from graft.reporting.figures.source import Source

    source = Source(grid, paths, csv_files.read_comparison(paths), read_csv(paths.tables / RUNS))
    catalogue.write(source, paths.figures)


def write_report(grid: Grid, paths: Paths) -> None:
    """Write report.html from the tables, records and figures that exist."""
    from graft.reporting.page.contents import contents
    from graft.reporting.page.rendering import render

    with files.atomic_file(paths.report) as temporary:
        temporary.write_text(render(contents(grid, paths)))
