"""Render the comparison as documents with the same cells: comparison.md and comparison.html."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from graft.io.names import common_pair
from graft.reporting import formats
from graft.statistics.crossed import SEEDS_FOR_INTERVAL

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Cell:
    """A cell's text; `best` in its column, or shown to be `near` the best; `order`: the sort key of a number."""

    text: str
    best: bool = False
    near: bool = False
    order: float | None = None


@dataclass(frozen=True)
class Section:
    """One table with its heading and the sentences below it."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...]

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Whether each column is sorted by number."""
        return tuple(any(row[at].order is not None for row in self.rows) for at in range(len(self.columns)))


def sections(
    comparison: pd.DataFrame, significance: pd.DataFrame, aggregate: pd.DataFrame, confidence: float
) -> list[Section]:
    """One section per task of comparison.csv, and one for all tasks together unless `aggregate` is empty."""
    found = [
        _compared(task, own, significance, confidence, formats.shown(formats.records(own)))
        for task, own in comparison.groupby("task", sort=False)
    ]
    return [*found, *together(aggregate, confidence)]


def ranked(comparison: pd.DataFrame, significance: pd.DataFrame, confidence: float) -> list[Section]:
    """One section per task as in `sections`, with the best system first, and only the columns that matter most."""
    found, common = [], common_pair(comparison["system"])
    for task, own in comparison.groupby("task", sort=False):
        own = own.sort_values("mean", ascending=False, kind="stable", na_position="last")
        own = own.assign(system=[name.removesuffix(common) for name in own["system"]])
        keys = [key for key in formats.shown(formats.records(own)) if key in formats.RANKED]
        found.append(_compared(task, own, significance, confidence, keys, explained=keys))
    return found


def _compared(
    task: str,
    table: pd.DataFrame,
    significance: pd.DataFrame,
    confidence: float,
    keys: Sequence[str],
    explained: Collection[str] = tuple(formats.COLUMNS),
) -> Section:
    rows, best = formats.records(table), formats.best_rows(table)
    headings = tuple(rows[0]["metric"] if key == "mean" else formats.COLUMNS[key][0] for key in keys)
    cells = tuple(
        tuple(_cell(key, formats.row_cells(row)[key], index in best, row) for key in keys)
        for index, row in enumerate(rows)
    )
    tests = significance[significance["task"] == task]
    notes = [formats.caption(rows, confidence, explained), *_needed(tests, rows), *_seen(tests, rows)]
    return Section(task, headings, cells, tuple(notes))


def section(heading: str, table: pd.DataFrame, columns: Mapping[str, tuple[Any, ...]], note: str) -> Section:
    """Make a section from a table.

    columns: by heading, a column, the function that formats its values and, if these have intervals, the two columns of
    their ends. Empty columns are left out.
    """
    shown = {title: column for title, column in columns.items() if table[column[0]].notna().any()}
    rows = tuple(tuple(_written(row, *column) for column in shown.values()) for row in formats.records(table))
    return Section(heading, tuple(title.strip() for title in shown), rows, (note,))


def to_markdown(parts: list[Section]) -> str:
    """Render sections as Markdown, with the best mean in bold and those shown to be near it underlined."""

    def written(cell: Cell) -> str:
        # Names are plain (see safety in DESIGN), so no text here can break a cell.
        text = cell.text or formats.NOTHING
        return f"**{text}**" if cell.best else f"<u>{text}</u>" if cell.near else text

    texts = []
    for part in parts:
        lines = [part.columns, ["---"] * len(part.columns), *([written(cell) for cell in row] for row in part.rows)]
        body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        texts.append("\n\n".join([f"## {part.heading}", body, *part.notes]) + "\n")
    return "\n".join(texts)


def to_html(parts: list[Section], study: str) -> str:
    """Render sections as one self-contained HTML page; all text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("comparison.html").render(parts=parts, study=study)


def _cell(key: str, text: str, best: bool, row: dict[str, Any]) -> Cell:
    shown, (_, by) = key == "mean", formats.COLUMNS[key]
    near = shown and not best and row["near_best"] is True
    return Cell(text, best=shown and best, near=near, order=row[by] if by else None)


def _written(row: dict[str, Any], column: str, write: Callable[[Any], str], low: str = "", high: str = "") -> Cell:
    value = row[column]
    text = formats.NOTHING if value is None else formats.with_interval(value, row.get(low), row.get(high), write)
    return Cell(text, order=value if isinstance(value, int | float) else None)


def _needed(significance: pd.DataFrame, rows: list[dict[str, Any]]) -> list[str]:
    """State how many seeds and examples a verdict on the merge chosen on `select` would need, if that is known."""
    chosen = {row["system"] for row in rows if row["chosen"] is True}
    of = [row for row in formats.records(significance) if row["system"] in chosen and row["versus"] == "reference"]
    return [
        f"{row['system']}, the merge that is best on select: detecting a true typical difference of "
        f"{row['margin']:g} from the reference would take about {row['seeds_needed']:,.0f} seeds and "
        f"{row['examples_needed']:,.0f} report examples (80% power, one comparison); this study has {row['n_seeds']} "
        f"and {row['n_examples']:,}."
        for row in of
        if row["seeds_needed"] is not None
    ]


def _seen(significance: pd.DataFrame, rows: list[dict[str, Any]]) -> list[str]:
    """State how many examples share a text with train, if any, and the metric without them."""
    known = [row for row in rows if row["mean_unseen"] is not None]
    if significance.empty or not known:
        return []
    examples = significance["n_examples"].max()
    shared = examples - known[0]["n_unseen_examples"]
    told = [row for row in known if formats.is_reference(row) or row["chosen"] is True]
    means = ", ".join(f"{row['system']} {formats.score(row['mean_unseen'])}" for row in told)
    note = (
        f"{shared:,} of {examples:,} report rows share a sentence with train or select, case and spaces aside (phrases "
        f"inside sentences do not count); without them: {means}; of all systems in comparison.csv."
    )
    return [note] if shared else []


def together(aggregate: pd.DataFrame, confidence: float) -> list[Section]:
    """The section for all tasks together, if there are any in `aggregate`."""
    if aggregate.empty:
        return []
    columns = {
        "system": ("system", str),
        "kind": ("kind", str),
        "normalised score": ("iqm", formats.score, "iqm_low", "iqm_high"),
        "mean rank": ("mean_rank", "{:.1f}".format, "rank_low", "rank_high"),
    }
    intervals = f"{confidence:.0%} intervals for new seeds and examples."
    if aggregate["iqm_low"].isna().all():
        intervals = f"There are fewer than {SEEDS_FOR_INTERVAL} of these, so there are no intervals."
    note = (
        f"Over {', '.join(aggregate['tasks'].iloc[0].split())}: tasks on which the reference is clearly better than a "
        "constant label. Normalised score: 0 is a constant label, 1 the reference; interquartile mean over runs. "
        f"Rank 1 is the best. Of each task only seeds that all tasks have. {intervals}"
    )
    return [section("all tasks", aggregate, columns, note)]
