"""The tables that `python -m graft` shows."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from graft.merging.registry import MethodFacts
from graft.reporting import formats
from graft.reporting.states import STATES, RunState

# Columns that fit 120 characters; comparison.md has all.
_SHOWN = {
    "system": "system",
    "mean": "mean",
    "delta": "Δ reference",
    "small": "Δ small",
    "head_only": "Δ head",
    "training": "train ×",
    "inference": "infer ×",
    "verdict": "verdict",
    "runs": "runs",
}
_COLOURS = {"done": "green", "stale": "yellow", "running": "cyan", "failed": "bold red", "missing": "yellow"}
# Where output goes to a file or a pipe there is no width to keep to; rich would fold at 80.
_PIPE_WIDTH = 200


def console() -> Console:
    """A console on stdout; in a pipe it is wide enough that no row is folded."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def comparison_tables(comparison: pd.DataFrame) -> list[Table | Text]:
    """Per task a heading and a table with the best mean in bold and the Pareto front starred; then what it all means.

    A pair's name is left out of its systems' names where the study has no other.
    """
    common = formats.common_pair(comparison["system"])
    parts: list[Table | Text] = []
    for task, table in comparison.groupby("task", sort=False):
        heading = f"{task}: {table['metric'].iloc[0]}" + (f", {common[1:]}" if common else "")
        parts += [Text(heading, style="bold"), _comparison_table(table, common)]
    legend = (
        "bold: best mean; *: on the Pareto front of metric and training FLOPs; Δ: paired by seed, to the fine-tuned "
        "large and small models and to the head alone; ×: FLOPs as a multiple of the reference's"
    )
    return [*parts, Text(legend, style="dim")]


def ending(sentence: str, places: Iterable[tuple[str, str]]) -> list[Text]:
    """What a study shows, and a line per file to look at; paths are never folded, so that they can be copied."""
    lines = [Text(f"{what:<7} {path}", no_wrap=True, overflow="ignore") for what, path in places]
    return [Text(), Text(sentence), Text(), *lines]


def status_tables(states: list[RunState], steps: Iterable[tuple[object, str]] = ()) -> list[Table | Text]:
    """Counts per task and system, then each run that is not done with its reason; runs not started are counted only.

    steps: logs of other steps that failed, with their last line.
    """
    total = Counter(state.state for state in states)
    parts: list[Table | Text] = [_counts_table(states)]
    told = [state for state in states if state.state != "done" and state.why != "not started"]
    if told:
        parts.append(_reasons_table(told))
    parts += [Text(f"failed step: {line}\n  {log}", style="red") for log, line in steps]
    summary = ", ".join(f"{total[state]} {state}" for state in STATES if total[state])
    parts.append(Text(f"{len(states)} runs: {summary}"))
    return parts


def methods_table(methods: Iterable[MethodFacts]) -> Table:
    """The registry of merge methods: kind, needs, label use, heads, inference, citation."""
    table = Table("method", "kind", "needs", "label use", "heads", "runs per example", "citation", show_lines=True)
    for facts in methods:
        # Text, since rich would take square brackets in a plain string for markup.
        cells = (facts.name, facts.kind, ", ".join(facts.needs), facts.label_use, ", ".join(facts.heads))
        runs = " + ".join(facts.inference)
        table.add_row(*map(Text, (*cells[:4], cells[4] or formats.NOTHING, runs, facts.citation)))
    return table


def _comparison_table(table: pd.DataFrame, common: str) -> Table:
    rows = formats.records(table)
    # All `descriptive` says nothing: the column is shown once there is a verdict.
    judged = any(row["verdict"] not in (None, "descriptive") for row in rows)
    shown = [key for key in _SHOWN if key != "verdict" or judged]
    result = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for key in shown:
        result.add_column(_SHOWN[key], overflow="fold", no_wrap=key == "delta", max_width=11 if key == "runs" else None)
    best = formats.best_rows(table)
    for index, row in enumerate(rows):
        cells = formats.row_cells(row) | {
            "system": row["system"].removesuffix(common) + (" *" if row["pareto"] is True else ""),
            "mean": formats.score(row["mean"]),
            "training": formats.ratio(row["train_flops_ratio"]),
            "inference": formats.ratio(row["inference_flops_ratio"]),
        }
        style = "bold" if index in best else "dim" if row["mean"] is None else ""
        result.add_row(*(Text(cells[key]) for key in shown), style=style)
    return result


def _counts_table(states: list[RunState]) -> Table:
    present = [name for name in STATES if any(state.state == name for state in states)]
    table = Table("task", "system", *present)
    rows: dict[tuple[str, str], Counter] = {}
    for state in states:
        rows.setdefault((state.run.task, state.run.system.name), Counter())[state.state] += 1
    for (task, system), counts in rows.items():
        cells = [Text(str(counts[name] or ""), style=_COLOURS[name]) for name in present]
        table.add_row(Text(task), Text(system, overflow="fold"), *cells)
    return table


def _reasons_table(states: list[RunState]) -> Table:
    table = Table("run", "state", "why", show_lines=True)
    for state in states:
        why = state.why if state.log is None else f"{state.why}\n{state.log}"
        name, how = Text(state.run.id, overflow="fold"), Text(state.state, style=_COLOURS[state.state])
        table.add_row(name, how, Text(why, overflow="fold"))
    return table
