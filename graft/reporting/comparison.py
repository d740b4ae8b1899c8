"""The comparison: one row per task and system, against the reference, the small model and the head alone."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy import stats

from graft.grid import ALL_SEEDS, Grid, System
from graft.reporting import formats
from graft.study import Pair, Study

COLUMNS = (
    "task",
    "system",
    "kind",
    "label_use",
    "n_seeds",
    "metric",
    "mean",
    "ci_low",
    "ci_high",
    "delta_vs_reference",
    "delta_ci_low",
    "delta_ci_high",
    "p_value",
    "p_holm",
    "verdict",
    "delta_vs_small",
    "delta_vs_head_only",
    "train_flops",
    "train_flops_ratio",
    "inference_flops",
    "inference_flops_ratio",
    "parameters",
    "pareto",
    "n_expected",
    "n_missing",
    "n_failed",
    "degenerate",
)
# Fewer seeds than this cannot carry a verdict: with 12, a sign-flip test can at least reach p = 2 / 2**12.
SEEDS_FOR_VERDICT = 12


@dataclass(frozen=True)
class Estimate:
    """A mean with its interval (None where it cannot be had) and the number of seeds behind it."""

    mean: float
    low: float | None
    high: float | None
    n: int


class Uncertainty(Protocol):
    """Where intervals come from. Values are by seed; None stands for a system or pair without finished runs."""

    def of_mean(self, task: str, system: str) -> Estimate | None:
        """The mean of the primary metric over the system's seeds."""

    def of_difference(self, task: str, system: str, other: str) -> Estimate | None:
        """The mean of system - other over the seeds that both have."""


class OverSeeds:
    """Student's t intervals over seeds; the report examples are taken as fixed.

    values: {(task, system): {seed or "all": primary metric}}; confidence in (0, 1).
    """

    def __init__(self, values: dict[tuple[str, str], dict[str, float]], confidence: float) -> None:
        self.values = values
        self.confidence = confidence

    def of_mean(self, task: str, system: str) -> Estimate | None:
        return t_interval(list(self.values.get((task, system), {}).values()), self.confidence)

    def of_difference(self, task: str, system: str, other: str) -> Estimate | None:
        left, right = self.values.get((task, system), {}), self.values.get((task, other), {})
        return t_interval(list(paired_differences(left, right).values()), self.confidence)


def paired_differences(left: dict[str, float], right: dict[str, float]) -> dict[str, float]:
    """left - right by seed; a system with the single seed `all` is compared with every seed of the other."""
    if ALL_SEEDS in right:
        return {seed: value - right[ALL_SEEDS] for seed, value in left.items()}
    if ALL_SEEDS in left:
        return {seed: left[ALL_SEEDS] - value for seed, value in right.items()}
    return {seed: value - right[seed] for seed, value in left.items() if seed in right}


def t_interval(values: list[float], confidence: float) -> Estimate | None:
    """Mean and two-sided Student interval of values [n]; no interval for one value, None for none."""
    n = len(values)
    if n == 0:
        return None
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(mean, None, None, 1)
    half = stats.t.ppf((1 + confidence) / 2, n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


def values_of(runs: pd.DataFrame) -> dict[tuple[str, str], dict[str, float]]:
    """The primary metric of all finished runs: {(task, system): {seed: value}}, seeds as text."""
    done = runs[runs["state"] == "done"]
    found: dict[tuple[str, str], dict[str, float]] = {}
    for task, system, seed, value in zip(done["task"], done["system"], done["seed"], done["value"], strict=True):
        found.setdefault((task, system), {})[str(seed)] = float(value)
    return found


def compare(
    runs: pd.DataFrame,
    study: Study,
    uncertainty: Uncertainty | None = None,
    judge: Callable[[pd.DataFrame, Study], pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """One row per task and system with COLUMNS, in the order of `runs`.

    runs: the table of `runs.gather`. `uncertainty` gives the means, differences and intervals (default: t intervals
    over seeds), `judge` fills p_value, p_holm and verdict of the finished table (default: `descriptive`). The reference
    of a system is the fine-tuned large model of its pair; probes, fine-tuned models and `majority` belong to the first
    pair that fits. `n_seeds`: finished runs; `degenerate`: how many of them predict one thing only.
    """
    grid = Grid(study)
    uncertainty = uncertainty or OverSeeds(values_of(runs), study.statistics.confidence)
    groups = {key: group for key, group in runs.groupby(["task", "system"], sort=False)}
    costs = {key: _costs(group) for key, group in groups.items()}
    rows = []
    for (task, name), group in groups.items():
        system = grid.systems[name]
        pair = pair_of(system, grid)
        reference, small = f"finetune.{pair.large}", f"finetune.{pair.small}"
        head_only = _head_only(task, system, grid, runs)
        mean = uncertainty.of_mean(task, name)
        delta = uncertainty.of_difference(task, name, reference)
        rows.append(
            _counts(group)
            | {"task": task, "system": name, "kind": system.kind, "label_use": system.label_use}
            | {"metric": study.tasks[task].row(task).primary_metric}
            | _columns(mean, "mean", "ci_low", "ci_high")
            | _columns(delta, "delta_vs_reference", "delta_ci_low", "delta_ci_high")
            | _columns(uncertainty.of_difference(task, name, small), "delta_vs_small")
            | _columns(uncertainty.of_difference(task, name, head_only) if head_only else None, "delta_vs_head_only")
            | costs[task, name]
            | _ratios(costs[task, name], costs.get((task, reference), {}))
        )
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
    table = table.where(table.notna(), None)
    for task in table["task"].unique():
        of_task = table["task"] == task
        table.loc[of_task, "pareto"] = pareto_front(table.loc[of_task, "train_flops"], table.loc[of_task, "mean"])
    return (judge or descriptive)(table, study)


def descriptive(table: pd.DataFrame, study: Study) -> pd.DataFrame:
    """Mark as `descriptive` all rows that cannot have a verdict: too few seeds, or not in the primary family."""
    family = study.statistics.primary_family

    def verdict(system: str, n_seeds: int, mean: Any) -> str | None:
        judged = any(fnmatch.fnmatchcase(system, pattern) for pattern in family) and n_seeds >= SEEDS_FOR_VERDICT
        return None if judged or mean is None else "descriptive"

    verdicts = [verdict(*row) for row in zip(table["system"], table["n_seeds"], table["mean"], strict=True)]
    return table.assign(verdict=pd.Series(verdicts, index=table.index, dtype=object))


def pareto_front(costs: pd.Series, metrics: pd.Series) -> list[bool]:
    """Whether no other row is at least as good and as cheap, and better in one; costs, metrics [n], None is not."""
    points = list(zip(costs, metrics, strict=True))
    known = [point for point in points if None not in point]

    def dominated(cost: float, metric: float) -> bool:
        return any(c <= cost and m >= metric and (c, m) != (cost, metric) for c, m in known)

    return [None not in point and not dominated(*point) for point in points]


def pair_of(system: System, grid: Grid) -> Pair:
    """The pair whose fine-tuned models a system is compared with."""
    if system.pair is not None:
        return system.pair
    return next((pair for pair in grid.pairs if system.model in (pair.large, pair.small)), grid.pairs[0])


def _head_only(task: str, system: System, grid: Grid, runs: pd.DataFrame) -> str | None:
    """The head-only control of a merge: of its head, or the best on `select` where the merge has no head option."""
    if system.merge is None:
        return None
    controls = [s for s in grid.systems.values() if s.kind == "control" and s.pair == system.pair and s.merge is None]
    if system.head == "labelled" and not controls:
        # The labelled head sees nothing of the small model, so that of another pair is the same.
        controls = [s for s in grid.systems.values() if s.head == "labelled" and s.merge is None]
        controls = [s for s in controls if s.pair.large == system.pair.large]
    if system.head is not None:
        return next((control.name for control in controls if control.head == system.head), None)
    scores: dict[str, float] = {}
    for control in controls:
        own = runs[(runs["task"] == task) & (runs["system"] == control.name) & (runs["state"] == "done")]
        score = _mean(own["select_value"])
        if score is not None:
            scores[control.name] = score
    return max(scores, key=scores.__getitem__, default=None)


def _counts(group: pd.DataFrame) -> dict[str, int]:
    done = group[group["state"] == "done"]
    return {
        "n_seeds": len(done),
        "n_expected": len(group),
        "n_missing": int((group["state"] == "missing").sum()),
        "n_failed": int((group["state"] == "failed").sum()),
        "degenerate": sum(str(value) == "True" for value in done["degenerate"]),
    }


def _costs(group: pd.DataFrame) -> dict[str, float | int | None]:
    done = group[group["state"] == "done"]
    means = {name: _mean(done[name]) for name in ("train_flops", "inference_flops", "parameters")}
    return {name: int(mean) if mean is not None and mean.is_integer() else mean for name, mean in means.items()}


def _mean(values: pd.Series) -> float | None:
    known = [float(value) for value in values if not pd.isna(value)]
    return math.fsum(known) / len(known) if known else None


def _ratios(costs: dict[str, float | None], reference: dict[str, float | None]) -> dict[str, float]:
    return {
        f"{name}_ratio": costs[name] / reference[name]
        for name in ("train_flops", "inference_flops")
        if costs[name] is not None and reference.get(name)
    }


def _columns(estimate: Estimate | None, mean: str, low: str | None = None, high: str | None = None) -> dict[str, Any]:
    if estimate is None:
        return {}
    interval = {low: estimate.low, high: estimate.high} if low else {}
    return {mean: estimate.mean, **interval}


def to_markdown(comparison: pd.DataFrame, confidence: float) -> str:
    """The comparison as Markdown: one table per task with the best mean in bold, and a caption."""
    parts = []
    for task, table in comparison.groupby("task", sort=False):
        rows = [formats.row_cells(row) for row in formats.records(table)]
        best = formats.best_rows(table)
        for index in best:
            rows[index]["mean"] = f"**{rows[index]['mean']}**"
        metric, seeds = table["metric"].iloc[0], max(table["n_expected"])
        headings = formats.HEADINGS | {"mean": metric}
        lines = [list(headings.values()), ["---"] * len(headings)]
        lines += [[row[key] for key in headings] for row in rows]
        body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        parts.append(f"## {task}\n\n{body}\n\n{formats.caption(metric, seeds, confidence)}\n")
    return "\n".join(parts)
