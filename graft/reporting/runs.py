"""Gather all runs of a study in one table, with a row per run that the config asks for."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from graft.io import files
from graft.reporting.states import RunState, run_json, states
from graft.study import accounts, records
from graft.study.grid import Grid, Run
from graft.study.paths import Paths
from graft.study.records import Cost, RunRecord

log = logging.getLogger(__name__)

SHARED = "train_flops_shared"
# All but the parts of the FLOPs, in the order of the record.
_COSTS = tuple(name for name in Cost.model_fields if name != "train_flops_parts")


def gather(grid: Grid, paths: Paths, refuse_stale: bool = True, runs: Sequence[Run] | None = None) -> pd.DataFrame:
    """One row per run of `runs` (default: the grid's, without transfers), in order; missing or failed without run.json.

    Columns: task, system, kind, label_use, seed, state, metric (the primary one), value, stderr, n, degenerate, every
    metric as `<metric>` and `<metric>_stderr`, select_metric, select_value, the costs of `records.Cost`,
    train_flops_shared (see `graft.study.accounts`), fingerprint, code_version. Integers stay Python's, since FLOPs may
    exceed 64 bits.

    Raises ValueError if a run.json was made by another config, or with `refuse_stale` false counts it as missing. Logs
    a warning if runs were made by different code versions.
    """
    found = states(grid, paths, runs=runs)
    stale = [state for state in found if state.state == "stale"]
    if stale:
        message = _stale_message(paths, [state.run for state in stale], stale[0].why)
        if refuse_stale:
            raise ValueError(message)
        log.warning("left out: %s", message)
    metrics = list(dict.fromkeys(m for name, task in grid.study.tasks.items() for m in task.row(name).metrics))
    rows, using = [], accounts.uses(paths, grid.runs)
    for state in found:
        row = _head(grid, state)
        if state.state == "done":
            path = run_json(paths, state.run)
            record = records.read(path)
            _check_belongs(record, state.run, path)
            row |= _values(record)
            row[SHARED] = accounts.shared(record.cost.train_flops_parts, using)
        rows.append(row)
    head = ("task", "system", "kind", "label_use", "seed", "state", "metric", "value", "stderr", "n", "degenerate")
    wide = [column for metric in metrics for column in (metric, f"{metric}_stderr")]
    columns = [*head, *wide, "select_metric", "select_value", *_COSTS, SHARED, "fingerprint", "code_version"]
    table = pd.DataFrame(rows, columns=columns, dtype=object)
    _warn_of_versions(table)
    return table


def with_all_labels(runs: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """The runs of a table from `gather` whose systems see all labels: others are compared among themselves alone."""
    return runs[[grid.systems[name].labels is None for name in runs["system"]]]


def parts(runs: pd.DataFrame, paths: Paths) -> dict[tuple[str, str, int | str], dict[str, int]]:
    """Training FLOPs by part of every finished run of a table from `gather`, by task, system and seed."""
    return {
        (task, system, seed): files.read_json(folder / "run.json")["cost"]["train_flops_parts"]
        for task, system, seed, folder in finished_runs(runs, paths)
    }


def unmerged(runs: pd.DataFrame, paths: Paths) -> set[tuple[str, str]]:
    """Task and name of every system all of whose finished runs chose strength 0: they merge nothing."""
    chosen: dict[tuple[str, str], list[bool]] = {}
    for task, system, _, folder in finished_runs(runs, paths):
        choices = {one["name"]: one["chosen"] for one in files.read_json(folder / "run.json")["choices"]}
        chosen.setdefault((task, system), []).append(choices.get("strength") == 0)
    return {key for key, zeros in chosen.items() if all(zeros)}


def finished_runs(runs: pd.DataFrame, paths: Paths) -> Iterator[tuple[str, str, int | str, Path]]:
    """Task, system, seed and folder of every finished run of a table from `gather`."""
    done = runs[runs["state"] == "done"]
    for task, system, seed in zip(done["task"], done["system"], done["seed"], strict=True):
        yield task, system, seed, paths.run(task, system, seed)


def _head(grid: Grid, state: RunState) -> dict[str, Any]:
    """The columns that are known before a run is made."""
    run = state.run
    return {
        "task": run.task,
        "system": run.system.name,
        "kind": run.system.kind,
        "label_use": run.system.label_use,
        "seed": run.seed,
        # A running job counts as missing: the tables show finished runs.
        "state": "missing" if state.state in ("running", "stale") else state.state,
        "metric": grid.row(run.task).primary_metric,
    }


def _values(record: RunRecord) -> dict[str, Any]:
    values = {"metric": record.primary_metric, "degenerate": record.degenerate} | record.primary.model_dump()
    for name, metric in record.metrics.items():
        values |= {name: metric.value, f"{name}_stderr": metric.stderr}
    if record.select is not None:
        values |= {"select_metric": record.select.metric, "select_value": record.select.value}
    values |= {name: getattr(record.cost, name) for name in _COSTS}
    return values | {name: getattr(record.provenance, name) for name in ("fingerprint", "code_version")}


def _check_belongs(record: RunRecord, run: Run, path: Path) -> None:
    if (record.task, record.system, str(record.seed)) != (run.task, run.system.name, str(run.seed)):
        other = f"{record.task}/{record.system}/seed-{record.seed}"
        raise ValueError(f"{path}: records {other}, not {run.id}; delete it and run snakemake again")


def _stale_message(paths: Paths, runs: list[Run], why: str) -> str:
    path = run_json(paths, runs[0])
    others = f" (and {len(runs) - 1} more run.json)" if len(runs) > 1 else ""
    return f"{path}{others}: made by another config ({why}); run snakemake again, or delete {path.parent} first"


def _warn_of_versions(table: pd.DataFrame) -> None:
    counts = table["code_version"].value_counts(dropna=True).sort_index()
    if len(counts) > 1:
        shown = ", ".join(f"{version} ({count} runs)" for version, count in counts.items())
        log.warning("runs were made with different versions of the code: %s", shown)
