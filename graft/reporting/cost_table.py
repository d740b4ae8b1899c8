"""The cost of making and using every system: one row per task and system."""

import logging
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from graft.measuring import measurements
from graft.measuring.measurements import Measurement, Measurements
from graft.reporting.differences import finished_mean, pair_of, ratios
from graft.reporting.runs import SHARED, finished_runs
from graft.study import kin, records
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.records import Cost
from graft.study.steps.measure_cost import MeasureCost

log = logging.getLogger(__name__)

_WITH_RATIO = ("train_flops", "inference_flops", "inference_flops_real")
_PARTLY = ("nominal_flops", "pretraining_flops")
_MAKING = ("wall_seconds", "peak_memory_bytes", "energy_joules")
_MEANS = (*_WITH_RATIO, *_PARTLY, "parameters", "bytes", *_MAKING)
COLUMNS = (
    *("task", "system", "kind", "n_seeds"),
    *("train_flops", "train_flops_ratio", "train_flops_parts", SHARED, *_PARTLY),
    *("inference_flops", "inference_flops_ratio", "inference_flops_real", "inference_flops_real_ratio"),
    *("parameters", "bytes", *Measurement.model_fields, *_MAKING),
    *("device", "hardware", "threads", "architecture"),
)
_SEED = re.compile(r"seed-(\d+|all)")
# Costs of the finished runs, by task and system.
Made = Mapping[tuple[str, str], Sequence[Cost]]


def table(runs: pd.DataFrame, grid: Grid, made: Made, measured: Mapping[str, Measurements]) -> pd.DataFrame:
    """One row per task and system with COLUMNS, in the order of `runs`, a table from `runs.gather`.

    Counted costs and those of making the system (`wall_seconds`, `peak_memory_bytes`, `energy_joules`: of its last job
    only, without its inputs) are means over finished runs; ratios are to the fine-tuned large model of the system's
    pair. Measurements are those of the task and the system's architecture.
    """
    rows = []
    for task, name in dict.fromkeys(zip(runs["task"], runs["system"], strict=True)):
        system, own = grid.systems[name], made.get((task, name), ())
        means = _means(own)
        reference = _means(made.get((task, f"finetune.{pair_of(system, grid).large}"), ()))
        rows.append(
            {"task": task, "system": name, "kind": system.kind, "n_seeds": len(own)}
            | means
            | ratios(means, reference, _WITH_RATIO)
            | {"train_flops_parts": _text(mean_parts(own, task))}
            | {SHARED: finished_mean(runs[(runs["task"] == task) & (runs["system"] == name)], SHARED)}
            | _measurement(measured.get(task), grid, task, name)
        )
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
    return table.where(table.notna(), None)


def read_made(runs: pd.DataFrame, paths: Paths) -> dict[tuple[str, str], list[Cost]]:
    """Read the costs from the run.json of every run that is done in `runs`, a table from `runs.gather`."""
    found: dict[tuple[str, str], list[Cost]] = {}
    for task, system, _, folder in finished_runs(runs, paths):
        found.setdefault((task, system), []).append(records.read(folder / "run.json").cost)
    return found


def read_measured(grid: Grid, paths: Paths) -> dict[str, Measurements]:
    """Read the measurements by task; skips missing ones silently, and those of another config with a warning."""
    found = {}
    for task in kin.measured_tasks(grid):
        path = MeasureCost(task).output(paths)
        if not path.is_file():
            continue
        one = measurements.read(path)
        if one.fingerprint == MeasureCost(task).fingerprint(grid):
            found[task] = one
        else:
            log.warning("left out: %s: measured by another config; run snakemake again", path)
    return found


def mean_parts(costs: Sequence[Cost], task: str) -> dict[str, float]:
    """Mean training FLOPs over runs, by part.

    Seed and task are removed from the names of parts; parts that then share a name (an ensemble's members) are summed.
    """
    totals: dict[str, int] = {}
    for cost in costs:
        for name, flops in cost.train_flops_parts.items():
            words = [word for word in name.split("/") if word != task and not _SEED.fullmatch(word)]
            part = "/".join(words)
            totals[part] = totals.get(part, 0) + flops
    return {part: _divided(total, len(costs)) for part, total in totals.items()}


def _means(costs: Sequence[Cost]) -> dict[str, float | None]:
    return {name: _mean([getattr(cost, name) for cost in costs]) for name in _MEANS} if costs else {}


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    whole = all(isinstance(value, int) for value in known)
    return _divided(sum(known) if whole else math.fsum(known), len(known)) if known else None


def _divided(total: float, count: int) -> float:
    """Divide, keeping an exact result an integer: FLOPs may be too large for a float."""
    return total // count if isinstance(total, int) and total % count == 0 else total / count


def _text(parts: Mapping[str, float]) -> str | None:
    """Write parts as `part FLOPs; part FLOPs`, the largest first."""
    return "; ".join(f"{part} {parts[part]}" for part in sorted(parts, key=parts.__getitem__, reverse=True)) or None


def _measurement(measured: Measurements | None, grid: Grid, task: str, system: str) -> dict[str, Any]:
    if measured is None:
        return {}
    runs = {name: one.run.id for one in kin.kin(grid, task) for name in one.systems}
    if system not in runs:
        return {}
    name = measured.runs[runs[system]]
    where = {"device": measured.device, "hardware": measured.hardware, "threads": measured.threads}
    return {**measured.architectures[name].model_dump(), **where, "architecture": name}
