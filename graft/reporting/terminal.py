"""The tables that `python -m graft` shows."""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from graft.io import locks
from graft.io.names import common_pair
from graft.merging.facts import TwoShapes
from graft.merging.homogeneous.protocol import Method
from graft.planning.plan import Plan
from graft.planning.sizes import SPLITS
from graft.registry.methods import GREEDY
from graft.registry.rates import Rates
from graft.reporting import answer, formats
from graft.reporting.documents import Section
from graft.reporting.explaining import Block
from graft.reporting.fitting import Column, Fitted, Prose
from graft.reporting.states import STATES, RunState, StepState, states, step_states, unknown_source
from graft.study import archives
from graft.study.paths import Paths

# Columns that fit 120 characters, and the order in which narrower terminals drop them; comparison.md has all.
_SHOWN = {
    "system": Column("system"),
    "mean": Column("mean", right=True),
    "delta": Column("Δ reference", least=23),
    "small": Column("Δ small", right=True, dropped=2),
    "head_only": Column("Δ head", right=True, dropped=1),
    "training": Column("train ×", right=True, dropped=4),
    "inference": Column("infer ×", right=True, dropped=3),
    "verdict": Column("verdict"),
    "runs": Column("runs", least=11),
}
_COLOURS = {"done": "green", "stale": "yellow", "running": "cyan", "failed": "bold red", "missing": "yellow"}
_WATCH_SECONDS = 5.0
# A file or pipe has no width to fit; rich would fold at 80 characters.
_PIPE_WIDTH = 200


# Parts of an output, printed in sequence.
Part = Fitted | Prose | Text


def show(parts: Iterable[Part]) -> None:
    """Print parts on stdout."""
    shown = console()
    for part in parts:
        # A path or name longer than a line continues on the next instead of being cropped.
        shown.print(part, crop=False)


def console() -> Console:
    """A console on stdout; in a pipe it is wide enough that no row is folded."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def comparison_tables(comparison: pd.DataFrame) -> list[Part]:
    """A heading and a table per task, with the best mean in bold and the Pareto front starred; then a legend.

    If the study has one pair only, its name is left out of the systems' names.
    """
    common = common_pair(comparison["system"])
    parts: list[Part] = []
    for task, table in comparison.groupby("task", sort=False):
        heading = f"{task}: {table['metric'].iloc[0]}" + (f", {common[1:]}" if common else "")
        parts += [Text(heading, style="bold"), _comparison_table(table, common)]
        (seeds,) = formats.seeds_of(formats.records(table)).values()
        if few := formats.too_few(seeds):
            parts += [Prose(few, "dim"), Text()]
    legend = (
        "bold: best mean; underlined: shown to be less than the margin below it; *: on the Pareto front of metric, "
        "training FLOPs and inference FLOPs; Δ and verdict: of typical runs (paired by seed, without the fifth at "
        "either end), to the fine-tuned large and small models and to the head alone; did not learn: no better than "
        "one answer for all; ×: FLOPs as a multiple of the reference's"
    )
    return [*parts, Prose(legend, "dim")]


def answer_table(table: pd.DataFrame, scenario: str | None = None) -> list[Part]:
    """The answer of a study, or of one scenario in it: a table, then a sentence for each of its rows."""
    if table.empty:
        return []
    part = answer.section(table, scenario)
    texts = [[cell.text for cell in row] for row in part.rows]
    sentences = [Prose(f"{task}, {name}: {said}") for task, name, *_, said in texts]
    return [_section(replace(part, columns=part.columns[:-1])), *sentences, Text()]


def matched_table(table: pd.DataFrame, scenario: str) -> list[Part]:
    """Every merge and control of one scenario against its matched rival."""
    part = answer.against(table[table["scenario"] == scenario])
    return [_section(part), *(Prose(note, "dim") for note in part.notes)]


def _section(part: Section) -> Fitted:
    columns = [Column(name, right=numeric) for name, numeric in zip(part.columns, part.numeric, strict=False)]
    return Fitted(columns, [[cell.text for cell in row[: len(columns)]] for row in part.rows])


def ending(sentence: str, places: Iterable[tuple[str, str]]) -> list[Part]:
    """A study's summary and a line per output; paths are never folded, so that they can be copied."""
    lines = [Text(f"{what:<7} {path}", no_wrap=True, overflow="ignore") for what, path in places]
    return [Text(), Prose(sentence), Text(), *lines]


def status(paths: Paths) -> list[Part]:
    """Show what is done, running, failed, missing or stale in a study, and why."""
    grid, archived = archives.grid_of(paths), archives.manifest(paths)
    unchecked = unknown_source(grid)
    found = states(grid, paths, check=unchecked is None, runs=[*grid.runs, *grid.transfer_runs])
    parts = status_tables(found, step_states(grid, paths, found))
    holder = locks.holder(paths.lock)
    running = "snakemake is not running this study" if holder is None else f"snakemake is running it ({holder})"
    parts.append(Prose(str(archived or running)))
    if unchecked:
        parts.append(Prose(f"stale runs cannot be detected: {unchecked}", "yellow"))
    return parts


def watch(console: Console, paths: Paths) -> None:
    """Refresh the status every few seconds until Ctrl-C."""
    with (
        Live(console=console, screen=console.is_terminal, auto_refresh=False, vertical_overflow="crop") as live,
        suppress(KeyboardInterrupt),
    ):
        while True:
            live.update(Group(*status(paths)), refresh=True)
            time.sleep(_WATCH_SECONDS)


def status_tables(found: list[RunState], steps: Iterable[StepState] = ()) -> list[Part]:
    """Counts per task and system, then each run that is not done with its reason; runs not started are only counted.

    steps: running or failed steps that do not belong to a single run.
    """
    total = Counter(state.state for state in found)
    parts: list[Part] = [_counts_table(found)]
    notable = [state for state in found if state.state != "done" and state.why != "not started"]
    if notable:
        parts.append(_reasons_table(notable))
    for step in steps:
        parts.append(Prose(f"{step.step}: {step.state}: {step.why}\n{step.log}", _COLOURS[step.state]))
    summary = ", ".join(f"{total[state]} {state}" for state in STATES if total[state])
    parts.append(Prose(f"{len(found)} runs: {summary}"))
    return parts


def plan_tables(plan: Plan) -> list[Part]:
    """Jobs per rule; FLOPs and time per kind of step; disk; the sizes and rates assumed; what is unknown."""
    whole, time = not plan.unknown, plan.time
    jobs = plain_table(("job", "number"), [*plan.jobs.items(), ("total", sum(plan.jobs.values()))])
    parts: list[Part] = [Text(f"{plan.study}: the whole study from scratch", style="bold"), jobs]
    rows: list[tuple[object, ...]] = []
    for t in plan.kinds:
        known = t.flops or t.seconds
        needed = (formats.flops(t.flops) if t.flops else formats.NOTHING, _time(t.seconds / 3600))
        rows.append((t.kind, t.steps, *(_at_least(text, not t.unknown, known) for text in needed)))
    starting = sum(plan.jobs.values()) * time.start
    rows.append(("starting jobs", formats.NOTHING, formats.NOTHING, _time(starting / 3600)))
    total = (formats.flops(sum(t.flops for t in plan.kinds)), _time(time.work / 3600))
    rows.append(("total", sum(t.steps for t in plan.kinds), *(_at_least(text, whole, time.work) for text in total)))
    parts.append(plain_table(("kind of step", "steps", "FLOPs", "one job at a time"), rows))
    parts += [Prose(_wall(plan)), Prose(_assumed(plan), "dim")]
    disk = plan.disk
    sums = [Counter(disk.peak), Counter(disk.left)]
    held = [(what, *(_at_least(formats.size(one[what]), disk.whole, one[what]) for one in sums)) for what in disk.peak]
    held.append(("total", *(_at_least(formats.size(one.total()), disk.whole, one.total()) for one in sums)))
    parts.append(plain_table(("on disk", "at its peak", "left"), held))
    parts.append(
        Prose(
            f"disk: one job at a time, task by task and seed by seed; most during {disk.at}; models go as `keep` says; "
            f"besides, {formats.size(disk.cache)} in the hub's cache, which studies share",
            "dim",
        )
    )
    tasks = [
        (task, *(f"{len(n)} x {n.mean():.1f}" for n in (sizes.tokens[split] for split in SPLITS)), sizes.source)
        for task, sizes in plan.tasks.items()
    ]
    if tasks:
        parts.append(plain_table(("rows x mean tokens", *SPLITS, "source"), tasks))
    models = [
        (model, f"{shape.layers} x {shape.width}", formats.count(shape.body_parameters), source)
        for model, (shape, source) in plan.models.items()
    ]
    if models:
        parts.append(plain_table(("model", "layers x width", "parameters", "shape from"), models))
    return [*parts, *(Prose(f"unknown: {what}", "yellow") for what in plan.unknown)]


def rates_tables(rates: Rates, kept: Path) -> list[Part]:
    """Rates of a machine, by kind of work and width of the model."""
    rows = [
        (kind, width, f"{rate / 1e9:.3g}")
        for kind, by_width in rates.flops.items()
        for width, rate in sorted(by_width.items())
    ]
    title = Text(f"{rates.machine}: {rates.source}", style="bold")
    speed = f"{formats.size(int(rates.saving))}/s"
    saved = Prose(f"models are written and hashed at {speed}; kept for later plans of the study in {kept}")
    return [title, plain_table(("kind of work", "width", "GFLOP/s"), rows), saved, Text()]


def _wall(plan: Plan) -> str:
    time, words = plan.time, "one job at a time"
    if time.at_once > 1:
        words = f"{time.at_once} jobs at a time"
    chain = f"the longest chain of jobs that wait for one another takes {_time(time.longest / 3600)}"
    return f"wall time: {_time(time.wall / 3600)} with {words} (`--machines`, `--cores`); {chain}"


def _assumed(plan: Plan) -> str:
    precision = plan.training.removeprefix("training ")
    return (
        f"assumed: {plan.rates.machine}: {plan.rates.source}; training in {precision}, inference in fp32, closed forms "
        f"in fp64; {plan.time.start:g} s to start a job; on a cluster {plan.submissions} submissions, whose "
        "waiting is not included; `--measure` measures the rates of this machine in a minute"
    )


def explanation(blocks: Iterable[Block]) -> list[Part]:
    """Show where a number came from, with a heading, a table and a remark per block."""
    parts: list[Part] = []
    for block in blocks:
        parts.append(Text(block.title, style="bold"))
        if block.rows:
            headings = block.headings or [""] * len(block.rows[0])
            parts.append(Fitted([*map(Column, headings)], block.rows))
        if block.remark:
            parts.append(Prose(block.remark, "dim"))
        # A table already ends with an empty line.
        if block.remark or not block.rows:
            parts.append(Text())
    return parts


def methods_table(methods: Iterable[type[TwoShapes]]) -> Fitted:
    """The registry of merge methods: kind, needs, label use, heads, inference, citation."""
    headings = ("method", "kind", "needs", "label use", "heads", "runs per example")
    rows = []
    for facts in methods:
        heads, inference = ", ".join(facts.heads) or formats.NOTHING, " + ".join(facts.inference)
        rows.append((facts.name, facts.kind, ", ".join(facts.needs), facts.label_use, heads, inference, facts.citation))
    return Fitted([*map(Column, headings), Column("citation", least=32)], rows, spaced=True)


def one_shape_table(methods: Iterable[type[Method]]) -> Fitted:
    """The methods for models of one shape: needs, default strength and options, citation."""
    rows = []
    for facts in methods:
        needs = ["models"] + ["base"] * facts.base + [facts.statistics] * bool(facts.statistics)
        needs += ["a study's scores on select"] * (facts.kind == GREEDY)
        options = ", ".join(f"{name} {option.default}" for name, option in facts.known().items())
        rows.append((facts.name, ", ".join(needs), f"{facts.strength:g}", options or formats.NOTHING, facts.citation))
    widths = {"method for one shape": 0, "needs": 12, "strength": 0, "options": 12, "citation": 32}
    return Fitted([Column(heading, least=least) for heading, least in widths.items()], rows, spaced=True)


def _comparison_table(table: pd.DataFrame, common: str) -> Fitted:
    rows = formats.records(table)
    said = formats.shown(rows)
    shown = [key for key in _SHOWN if key in said]
    best = formats.best_rows(table)
    lines = []
    for index, row in enumerate(rows):
        cells = formats.row_cells(row) | {
            "system": row["system"].removesuffix(common) + (" *" if row["pareto"] is True else ""),
            "mean": formats.score(row["mean"]),
            "training": formats.ratio(row["train_flops_ratio"]),
            "inference": formats.ratio(row["inference_flops_ratio"]),
        }
        style = "bold" if index in best else "dim" if row["mean"] is None else ""
        near = row["near_best"] is True and index not in best
        lines.append([Text(cells[key], style="underline" if near and key == "mean" else style) for key in shown])
    return Fitted([_SHOWN[key] for key in shown], lines)


def plain_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Fitted:
    """A table of values as text, with columns of numbers aligned to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    columns = []
    for heading, column in zip(headings, zip(*cells, strict=True), strict=True):
        numbers = column[0][:1].isdigit()
        # Keep several numbers in one cell (12 x 768) on one line.
        columns.append(Column(heading, right=numbers, least=max(map(len, column)) if numbers else 0))
    return Fitted(columns, cells)


def _at_least(text: str, whole: bool, known: float) -> str:
    """Mark a quantity that is not `whole` as a lower bound, or as unknown if nothing is known."""
    return text if whole else f"at least {text}" if known else "unknown"


def _time(hours: float) -> str:
    if not hours:
        return formats.NOTHING
    number, unit = next(((n, u) for n, u in ((hours, "h"), (hours * 60, "min")) if n >= 1), (hours * 3600, "s"))
    return f"{number:.2g} {unit}" if number < 100 else f"{number:.0f} {unit}"


def _counts_table(states: list[RunState]) -> Fitted:
    present = [name for name in STATES if any(state.state == name for state in states)]
    rows: dict[tuple[str, str], Counter[str]] = {}
    for state in states:
        rows.setdefault((state.run.task, state.run.system.name), Counter())[state.state] += 1
    lines: list[list[str | Text]] = [
        [f"{task}/{system}", *(Text(str(counts[name] or ""), style=_COLOURS[name]) for name in present)]
        for (task, system), counts in rows.items()
    ]
    return Fitted([Column("system"), *(Column(name, right=True) for name in present)], lines)


def _reasons_table(states: list[RunState]) -> Fitted:
    rows = []
    for one in states:
        why = one.why if one.log is None else f"{one.why}\n{one.log}"
        rows.append((one.run.id, Text(one.state, style=_COLOURS[one.state]), why))
    return Fitted([Column("run"), Column("state"), Column("why", least=32)], rows, spaced=True)
