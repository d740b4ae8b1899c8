"""The tables that `python -m graft` shows."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from graft import locks
from graft.cost.plan import Plan
from graft.cost.sizes import SPLITS
from graft.grid import Grid
from graft.merging.homogeneous.table import GREEDY, Facts
from graft.merging.registry import MethodFacts
from graft.names import common_pair
from graft.paths import Paths
from graft.reporting import formats
from graft.reporting.explaining import Section
from graft.reporting.states import STATES, RunState, StepState, states, step_states
from graft.study import load

if TYPE_CHECKING:
    from graft.merging.folders import Plan as MergePlan

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
_WATCH_SECONDS = 5.0
# Where output goes to a file or a pipe there is no width to keep to; rich would fold at 80.
_PIPE_WIDTH = 200


def console() -> Console:
    """A console on stdout; in a pipe it is wide enough that no row is folded."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def comparison_tables(comparison: pd.DataFrame) -> list[Table | Text]:
    """Per task a heading and a table with the best mean in bold and the Pareto front starred; then what it all means.

    A pair's name is left out of its systems' names where the study has no other.
    """
    common = common_pair(comparison["system"])
    parts: list[Table | Text] = []
    for task, table in comparison.groupby("task", sort=False):
        heading = f"{task}: {table['metric'].iloc[0]}" + (f", {common[1:]}" if common else "")
        parts += [Text(heading, style="bold"), _comparison_table(table, common)]
    legend = (
        "bold: best mean; underlined: within noise of it; *: on the Pareto front of metric and training FLOPs; "
        "Δ: paired by seed, to the fine-tuned large and small models and to the head alone; ×: FLOPs as a multiple of "
        "the reference's"
    )
    return [*parts, Text(legend, style="dim")]


def merge_tables(plan: MergePlan) -> list[Table | Text]:
    """What a merge of two folders does: shapes, layers, options and FLOPs."""
    shapes = Table(box=SIMPLE_HEAD, title="spaces", title_justify="left")
    for heading in ("", "small", "large"):
        shapes.add_column(heading)
    for what in ("layers", "width", "ffn", "heads"):
        shapes.add_row(what, *(str(getattr(shape, what)) for shape in (plan.small, plan.large)))
    layers = ", ".join(f"{m} → {g}" for m, g in plan.depth_map)
    options = ", ".join(f"{name} {value}" for name, value in plan.options.items() if name != "strengths")
    flops = ", ".join(f"{part} {formats.flops(count)}" for part, count in plan.flops.items())
    return [
        shapes,
        Text(f"layers, counted from 0: {layers}"),
        Text(f"options: {options}"),
        Text(f"text: {plan.texts} texts, {plan.tokens} tokens"),
        Text(f"FLOPs: {flops}"),
    ]


def ending(sentence: str, places: Iterable[tuple[str, str]]) -> list[Text]:
    """What a study shows, and a line per file to look at; paths are never folded, so that they can be copied."""
    lines = [Text(f"{what:<7} {path}", no_wrap=True, overflow="ignore") for what, path in places]
    return [Text(), Text(sentence), Text(), *lines]


def status(paths: Paths) -> list[Table | Text]:
    """What is done, running, failed, missing or stale in a study, and why."""
    grid = Grid(load(paths.study))
    try:
        grid.check_sources(rows=False)
        unchecked = None
    except ValueError as error:
        unchecked = error
    found = states(grid, paths, check=unchecked is None, runs=[*grid.runs, *grid.transfer_runs])
    parts = status_tables(found, step_states(grid, paths, found))
    holder = locks.holder(paths.lock)
    parts.append(
        Text("snakemake does not run this study now" if holder is None else f"snakemake runs it now ({holder})")
    )
    if unchecked is not None:
        parts.append(Text(f"stale runs cannot be told: {unchecked}", style="yellow"))
    return parts


def watch(console: Console, paths: Paths) -> None:
    """Show the status anew every few seconds, until Ctrl-C."""
    with (
        Live(console=console, screen=console.is_terminal, auto_refresh=False, vertical_overflow="crop") as live,
        suppress(KeyboardInterrupt),
    ):
        while True:
            live.update(Group(*status(paths)), refresh=True)
            time.sleep(_WATCH_SECONDS)


def status_tables(found: list[RunState], steps: Iterable[StepState] = ()) -> list[Table | Text]:
    """Counts per task and system, then each run that is not done with its reason; runs not started are counted only.

    steps: those of no single run that run or failed.
    """
    total = Counter(state.state for state in found)
    parts: list[Table | Text] = [_counts_table(found)]
    told = [state for state in found if state.state != "done" and state.why != "not started"]
    if told:
        parts.append(_reasons_table(told))
    for step in steps:
        parts.append(Text(f"{step.step}: {step.state}: {step.why}\n  {step.log}", style=_COLOURS[step.state]))
    summary = ", ".join(f"{total[state]} {state}" for state in STATES if total[state])
    parts.append(Text(f"{len(found)} runs: {summary}"))
    return parts


def plan_tables(plan: Plan) -> list[Table | Text]:
    """Jobs per rule; FLOPs and GPU hours per kind of step; disk; the sizes that all this rests on; what is unknown."""
    more = "at least " if plan.unknown else ""
    gpu, parts = plan.gpu, [Text(f"{plan.study}: the whole study from nothing", style="bold")]
    parts += [_plain_table(("job", "number"), [*plan.jobs.items(), ("total", sum(plan.jobs.values()))])]
    rows = [
        (
            t.kind,
            t.jobs,
            *(_at_least(text, not t.unknown, t.flops) for text in (formats.flops(t.flops), _time(t.hours))),
        )
        for t in plan.kinds
    ]
    total = [more + formats.flops(sum(t.flops for t in plan.kinds)), more + _time(sum(t.hours for t in plan.kinds))]
    rows.append(("total", sum(t.jobs for t in plan.kinds), *total))
    parts.append(_plain_table(("kind of step", "jobs", "FLOPs", f"time on one {gpu.name}"), rows))
    parts.append(
        Text(
            f"time: at {plan.utilisation:.0%} of {gpu.bf16 / 1e12:g} TFLOP/s (bf16, training) and of "
            f"{gpu.fp32 / 1e12:g} TFLOP/s (fp32: inference, and training with launch.precision fp32); not in them: the "
            "start of each job (about 10 s), reading, and closed forms on the CPU",
            style="dim",
        )
    )
    disk = [(what, _at_least(formats.size(size), whole, size)) for what, (size, whole) in plan.disk.items()]
    disk.append(("total", more + formats.size(sum(size for size, _ in plan.disk.values()))))
    parts.append(_plain_table(("on disk", "size"), disk))
    tasks = [
        (task, *(f"{len(n)} x {n.mean():.1f}" for n in (sizes.tokens[split] for split in SPLITS)), sizes.source)
        for task, sizes in plan.tasks.items()
    ]
    if tasks:
        parts.append(_plain_table(("rows x mean tokens", *SPLITS, "source"), tasks))
    models = [
        (model, f"{shape.layers} x {shape.width}", formats.count(shape.body_parameters), source)
        for model, (shape, source) in plan.models.items()
    ]
    if models:
        parts.append(_plain_table(("model", "layers x width", "parameters", "shape from"), models))
    return [*parts, *(Text(f"unknown: {what}", style="yellow") for what in plan.unknown)]


def explanation(sections: Iterable[Section]) -> list[Table | Text]:
    """Where a number came from: a heading, a table and a remark per section; what is long is folded, never cut."""
    parts: list[Table | Text] = []
    for section in sections:
        parts.append(Text(section.title, style="bold"))
        if section.rows:
            table = Table(
                box=SIMPLE_HEAD if section.headings else None, padding=(0, 1), show_header=bool(section.headings)
            )
            for heading in section.headings or [""] * len(section.rows[0]):
                table.add_column(heading, overflow="fold")
            for row in section.rows:
                table.add_row(*map(Text, row))
            parts.append(table)
        if section.remark:
            parts.append(Text(section.remark, style="dim"))
        parts.append(Text())
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


def same_shape_table(methods: Iterable[Facts]) -> Table:
    """The methods for models of one shape: what they need, their default strength and options, citation."""
    table = Table("method for one shape", "needs", "strength", "options", "citation", show_lines=True)
    for facts in methods:
        needs = ["models"] + ["base"] * facts.base + [facts.statistics] * bool(facts.statistics)
        needs += ["a study's scores on select"] * (facts is GREEDY)
        options = ", ".join(f"{name} {option.default}" for name, option in facts.options.items())
        cells = (facts.name, ", ".join(needs), f"{facts.strength:g}", options or formats.NOTHING, facts.citation)
        table.add_row(*map(Text, cells))
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
        near = row["near_best"] is True and index not in best
        texts = [Text(cells[key], style="underline" if near and key == "mean" else "") for key in shown]
        result.add_row(*texts, style=style)
    return result


def _plain_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table of what can be read as text; columns of numbers are set to the right."""
    columns = list(zip(*([str(cell) for cell in row] for row in rows), strict=True))
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for heading, cells in zip(headings, columns, strict=True):
        table.add_column(heading, justify="right" if cells[0][0].isdigit() else "left")
    for row in zip(*columns, strict=True):
        table.add_row(*map(Text, row))
    return table


def _at_least(text: str, whole: bool, known: float) -> str:
    """A quantity of which not everything may be known."""
    return text if whole else f"at least {text}" if known else "unknown"


def _time(hours: float) -> str:
    if not hours:
        return formats.NOTHING
    number, unit = next(((n, u) for n, u in ((hours, "h"), (hours * 60, "min")) if n >= 1), (hours * 3600, "s"))
    return f"{number:.2g} {unit}" if number < 100 else f"{number:.0f} {unit}"


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
