"""Explain where a number came from: a run's metrics, choices and cost, the steps behind it, and when it goes stale."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graft.io import files
from graft.reporting import csv_files, formats, transfer
from graft.reporting.matched import OWN
from graft.reporting.states import RunState, run_json, states
from graft.study import accounts, records
from graft.study.grid import Grid, Run
from graft.study.paths import Paths
from graft.study.records import RunRecord
from graft.study.steps import graph
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.evaluate import evaluation
from graft.study.steps.models import DownloadModel
from graft.study.steps.step import Step

_ABSENT = "not in it: made before this run, or not made yet"


@dataclass(frozen=True)
class Block:
    """A part of an explanation: rows of text under headings (without headings: name and value), and a remark."""

    title: str
    rows: tuple[tuple[str, ...], ...] = ()
    headings: tuple[str, ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class Link:
    """A step behind a run: its output, whether that is up to date with the config, and its log.

    `state`: done, missing (not made, or cleaned), stale (made by another config), or unknown if the config's
    `fingerprint` cannot be computed.
    """

    step: Step
    output: Path
    log: Path
    state: str
    fingerprint: str | None
    depends_on: str


def find_run(grid: Grid, task: str, system: str, seed: str) -> Run:
    """Find a run by its names; raises ValueError naming the unknown one and listing the known ones."""
    runs = [*grid.runs, *grid.transfer_runs]
    if task not in (known := list(dict.fromkeys(run.task for run in runs))):
        raise ValueError(f"study {grid.study.name} has no task {task!r}; available: {', '.join(known)}")
    try:
        system = grid.named(system, task)
    except ValueError as error:
        raise ValueError(f"task {task} has {error}") from None
    seeds = {str(run.seed): run for run in runs if (run.task, run.system.name) == (task, system)}
    if seed not in seeds:
        raise ValueError(f"{task}/{system} has no seed {seed!r}; available: {', '.join(seeds)}")
    return seeds[seed]


def explain(grid: Grid, paths: Paths, run: Run) -> list[Block]:
    """Collect all that is known of a run, finished or not, most wanted first.

    Raises ValueError if its run.json has another schema.
    """
    chain = links(grid, paths, run)
    (state,) = states(grid, paths, runs=[run], check=chain[-1].fingerprint is not None)
    path = run_json(paths, run)
    blocks = [_head(run, state, path, chain)]
    if path.is_file():
        record = records.read(path)
        blocks += [_metrics(record, path), _tables(paths, run, record), *_choices(record), *_settings(record)]
        blocks += [_cost(record, accounts.uses(paths, grid.runs)), *_measured(record)]
    blocks += [_chain(chain), *_outside(chain)]
    if path.is_file():
        blocks += [_circumstances(record), _hashes(record)]
    return [*blocks, _stale_when(chain)]


def links(grid: Grid, paths: Paths, run: Run) -> list[Link]:
    """Every step behind a run, inputs first, its evaluation last."""
    return [_link(grid, paths, step) for step in graph.with_inputs(grid, [evaluation(run)])]


def _link(grid: Grid, paths: Paths, step: Step) -> Link:
    output, log = step.output(paths), step.log(paths)
    try:
        expected = step.fingerprint(grid)
    except ValueError:  # a local source that no longer exists
        expected = None
    if not output.is_file():
        state = "missing"
    elif expected is None:
        state = "unknown"
    else:
        state = "done" if step.recorded(paths) == expected else "stale"
    return Link(step, output, log, state, expected, step.depends_on(grid))


def _head(run: Run, state: RunState, path: Path, chain: list[Link]) -> Block:
    stale = next((link.step for link in chain if link.state == "stale"), None)
    rows = {
        "state": f"{state.state}: {state.why}".removesuffix(": "),
        "record": str(path),
        "evaluates": f"the model of {'/'.join(map(str, run.made[:2]))}/seed-{run.seed}" if run.trained_on else "",
        "system": f"{run.system.kind}; labels seen: {_labels(run)}",
        "stale since": f"{stale}: made by another config; run snakemake again" if stale else "",
        "log": str(state.log or ""),
    }
    return Block(run.id, tuple((name, value) for name, value in rows.items() if value))


def _labels(run: Run) -> str:
    labels = run.system.labels
    if labels is None:
        return run.system.label_use
    return f"those of {labels} rows of select" if labels else "none; it has the small model's answers to select"


def _metrics(record: RunRecord, path: Path) -> Block:
    rows = []
    for name, metric in record.metrics.items():
        title = f"{name} (primary)" if name == record.primary_metric else name
        rows.append((title, formats.score(metric.value), formats.score(metric.stderr), str(metric.n)))
    predictions = path.with_name("predictions.parquet")
    digest = f"sha256 {files.sha256(predictions)}" if predictions.is_file() else "missing"
    remark = f"from {predictions} ({digest})"
    if record.degenerate:
        remark += "; all predictions are the same"
    if record.select is not None:
        remark += f"; {record.select.metric} on select, for choices alone: {formats.score(record.select.value)}"
    return Block("metrics on report", tuple(rows), ("metric", "value", "standard error", "examples"), remark)


def _tables(paths: Paths, run: Run, record: RunRecord) -> Block:
    """The rows of the tables that contain the run's number, or a note that it is not in them."""
    found = {}
    if run.trained_on is None:
        path = paths.tables / csv_files.RUNS
        row = next((row for row in _rows_of(path, run) if str(row["seed"]) == str(run.seed)), None)
        if row and row["value"] is not None:
            other = "" if row["value"] == record.primary.value else ": another value, made before this run"
            found[path] = formats.score(row["value"]) + other
        else:
            found[path] = _ABSENT
    if run.trained_on or run.system.labels is None:
        path = paths.tables / (transfer.TRANSFER if run.trained_on else csv_files.COMPARISON)
        found[path] = _ABSENT
        for row in _rows_of(path, run):
            cells = formats.row_cells(row)
            parts = [f"mean {cells['mean']} of runs {cells['runs']}", f"Δ reference {cells['delta']}", cells["verdict"]]
            found[path] = "; ".join(part for part in parts if part != formats.NOTHING)
    path = paths.tables / csv_files.MATCHED
    held = [row for row in _rows_of(path, run) if row["inference_limit"] == OWN and row["difference"] is not None]
    if held:
        found[path] = "\n".join(
            f"{row['scenario']}: {formats.difference(row['difference'])} to {row['rival']}"
            + (f", {row['verdict']}" if row["verdict"] else "")
            for row in held
        )
    return Block("in the tables", tuple((str(path), text) for path, text in found.items()))


def _rows_of(path: Path, run: Run) -> list[formats.Row]:
    """The rows of a table that are about a run's system on its task."""
    if not path.is_file():
        return []
    table = csv_files.read_csv(path)
    return formats.records(table[(table["task"] == run.task) & (table["system"] == run.system.name)])


def _choices(record: RunRecord) -> list[Block]:
    if not record.choices:
        return [Block("choices on select", remark="none: nothing was searched")]
    rows = tuple((c.name, _value(c.chosen), c.metric, _searched(c.chosen, c.searched)) for c in record.choices)
    return [Block("choices on select", rows, ("choice", "chosen", "by", "searched: value: score"))]


def _searched(chosen: Any, points: Iterable[records.Tried]) -> str:
    shown = []
    for point in points:
        ridge = "" if point.ridge is None else f" (ridge {point.ridge:g})"
        text = f"{_value(point.value)}{ridge}: {formats.score(point.score)}"
        shown.append(f"{text} ←" if point.value == chosen else text)
    return ", ".join(shown)


def _settings(record: RunRecord) -> list[Block]:
    known: dict[str, dict[str, Any]] = {"hyperparameters": record.hyperparameters, "diagnostics": record.diagnostics}
    return [
        Block(title, tuple((name, _value(value)) for name, value in values.items()))
        for title, values in known.items()
        if values
    ]


def _cost(record: RunRecord, using: Mapping[str, int]) -> Block:
    cost, parts = record.cost, record.cost.train_flops_parts
    known: list[tuple[str, float | None, object]] = [
        *((name, parts[name], using[name]) for name in sorted(parts, key=parts.__getitem__, reverse=True)),
        ("all training", cost.train_flops, ""),
        ("all training, parts shared among runs", accounts.shared(parts, using), ""),
        ("all training, with padding", cost.nominal_flops, ""),
        ("inference, 128 tokens", cost.inference_flops, ""),
        ("inference, real lengths", cost.inference_flops_real, ""),
    ]
    rows = tuple((name, formats.flops(flops), str(runs)) for name, flops, runs in known)
    remark = f"{formats.count(cost.parameters)} parameters, {formats.size(cost.bytes)}"
    return Block("cost", rows, ("part", "FLOPs", "used by runs"), remark)


def _measured(record: RunRecord) -> list[Block]:
    cost = record.cost
    known = {
        "peak memory of its making": (cost.peak_memory_bytes, "{:,} bytes"),
        "wall time of its making": (cost.wall_seconds, "{:.1f} s"),
        "energy of its making": (cost.energy_joules, "{:.4g} J"),
    }
    rows = tuple((name, shape.format(value)) for name, (value, shape) in known.items() if value is not None)
    return [Block("measured", rows)] if rows else []


def _chain(chain: list[Link]) -> Block:
    rows = tuple(
        (str(link.step), link.state, link.fingerprint or formats.NOTHING, str(link.output), str(link.log))
        for link in chain
    )
    missing = "missing: never made, or no longer needed and cleaned" if any(x.state == "missing" for x in chain) else ""
    return Block("made by, inputs first", rows, ("step", "state", "fingerprint", "output", "log"), missing)


def _outside(chain: list[Link]) -> list[Block]:
    """The inputs from outside: data sets and published models."""
    rows = []
    for link in chain:
        if not isinstance(link.step, DownloadTask | DownloadModel) or not link.output.is_file():
            continue
        source = files.read_json(link.output)["source"]
        known = [f"{name} {_value(value)}" for name, value in source.items() if value is not None]
        rows.append((str(link.output.parent), ", ".join(known)))
    return [Block("from outside", tuple(rows))] if rows else []


def _circumstances(record: RunRecord) -> Block:
    made, evaluated = record.provenance, record.provenance.evaluated
    own = made.model_dump()
    names = ("code_version", "host", "slurm_job_id", "hardware", "device", "precision", "threads", "finished")
    rows = [(name.replace("_", " "), _value(own[name]), _value(evaluated.get(name))) for name in names]
    packages = [
        ", ".join(f"{name} {version}" for name, version in versions.items()) or formats.NOTHING
        for versions in (made.packages, evaluated.get("packages") or {})
    ]
    return Block("computed with", (*rows, ("packages", *packages)), ("", "made", "evaluated"))


def _hashes(record: RunRecord) -> Block:
    found = {"data": record.provenance.data_sha256, "model": record.provenance.model_sha256}
    rows = tuple((f"{what}: {name}", value) for what, values in found.items() for name, value in values.items())
    return Block("sha256", rows)


def _stale_when(chain: list[Link]) -> Block:
    rows = tuple(dict.fromkeys((link.step.rule, link.depends_on) for link in chain))
    remark = (
        "or when the meaning of one of these steps changes in Graft; never by other systems, seeds or tasks than "
        "these, by resources, or by newer code and packages alone (mixed versions are warned of)"
    )
    return Block("stale when this changes", rows, ("step", "what"), remark)


def _value(value: Any) -> str:
    if value is None:
        return formats.NOTHING
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
