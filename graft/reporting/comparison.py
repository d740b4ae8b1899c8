"""The comparison: one row per task and system, against the reference, the small model and the head alone."""

from collections import Counter
from collections.abc import Mapping
from statistics import fmean
from typing import Any

import pandas as pd

from graft.config.study import Study
from graft.reporting.differences import Compared, finished_mean, ratios
from graft.reporting.runs import SHARED
from graft.statistics.crossed import Crossed, Interval
from graft.study.grid_systems import ORACLE

COLUMNS = (
    *("task", "system", "kind", "label_use", "n_seeds", "metric", "mean", "ci_low", "ci_high"),
    *("delta_vs_reference", "delta_ci_low", "delta_ci_high", "p_value", "p_holm", "verdict"),
    *("delta_vs_small", "delta_vs_head_only"),
    *("train_flops", "train_flops_ratio", "inference_flops", "inference_flops_ratio", "parameters", "pareto"),
    *(SHARED, "n_expected", "n_missing", "n_failed", "degenerate", "sd", "near_best", "chosen"),
    *("mean_unseen", "n_unseen_examples", "typical", "failed", "failed_high", "floor"),
)


def comparison(
    rows: list[Compared], runs: pd.DataFrame, study: Study, unseen: Mapping[str, Crossed] | None = None
) -> pd.DataFrame:
    """One row per task and system with COLUMNS, in the order of `rows`; `runs` is the table from `runs.gather`.

    Intervals are for new seeds and new examples: `ci_*` of `mean`, over all runs; `delta_ci_*` of `delta_vs_reference`,
    which like all differences, p values and verdicts is of typical runs (the trimmed mean of differences paired by
    seed). `typical`: the trimmed mean of the system itself. `n_seeds`: finished runs; `failed`: how many of them are no
    better than `floor`, the metric of the best constant prediction, and `failed_high` the highest rate of such runs
    that this leaves possible; `degenerate`: how many predict the same for every example. `sd`: standard deviation of
    the metric over seeds. `unseen`: from `predictions.unseen`.
    """
    groups = {key: group for key, group in runs.groupby(["task", "system"], sort=False)}
    costs = {key: _costs(group) for key, group in groups.items()}
    found = [
        _row(row, groups[row.task, row.system.name], costs, study) | _unseen(row, (unseen or {}).get(row.task))
        for row in rows
    ]
    table = pd.DataFrame(found, columns=list(COLUMNS), dtype=object)
    table = table.where(table.notna(), None)
    for task in table["task"].unique():
        of_task = table["task"] == task
        means = table.loc[of_task, "mean"].where(table.loc[of_task, "kind"] != ORACLE, None)
        of_costs = (table.loc[of_task, name] for name in ("train_flops", "inference_flops"))
        table.loc[of_task, "pareto"] = pareto_front(means, *of_costs)
    return table


def _row(
    row: Compared, runs: pd.DataFrame, costs: Mapping[tuple[str, str], dict[str, Any]], study: Study
) -> dict[str, Any]:
    mean, (reference, delta) = row.mean, row.others["reference"]
    own = costs[row.task, row.system.name]
    known = {what: difference.typical for what, (_, difference) in row.others.items() if difference}
    return (
        _counts(runs)
        | {"task": row.task, "system": row.system.name, "kind": row.system.kind, "label_use": row.system.label_use}
        | {"metric": study.tasks[row.task].row(row.task).primary_metric}
        | ({name: getattr(mean, name) for name in ("mean", "sd", "typical", "failed", "failed_high")} if mean else {})
        | _interval(mean.new if mean else None, "ci_low", "ci_high")
        | _interval(delta.new if delta else None, "delta_ci_low", "delta_ci_high")
        | {"delta_vs_reference": delta.typical if delta else None, "floor": row.floor}
        | {"delta_vs_small": known.get("small"), "delta_vs_head_only": known.get("head_only")}
        | {"p_value": row.p_value, "p_holm": row.p_holm, "verdict": row.verdict}
        | {"near_best": row.near_best, "chosen": row.chosen}
        | own
        | ratios(own, costs.get((row.task, reference), {}), ("train_flops", "inference_flops"))
    )


def _unseen(row: Compared, sample: Crossed | None) -> dict[str, Any]:
    values = sample.values(row.system.name).values() if sample else ()
    return {"mean_unseen": fmean(values), "n_unseen_examples": len(sample.labels)} if sample and values else {}


def _interval(interval: Interval, low: str, high: str) -> dict[str, float]:
    return dict(zip((low, high), interval, strict=True)) if interval else {}


def pareto_front(metrics: pd.Series, *costs: pd.Series) -> list[bool]:
    """Whether each row is on the Pareto front: no other is at least as good and as cheap, and better in one of these.

    metrics and every kind of costs: [n]; a row with None in any is not on the front.
    """
    points = list(zip(metrics, *costs, strict=True))
    known = {point for point in points if None not in point}

    def dominated(point: tuple[float, ...]) -> bool:
        (metric, *own), others = point, known - {point}
        return any(m >= metric and all(c <= mine for c, mine in zip(cs, own, strict=True)) for m, *cs in others)

    return [None not in point and not dominated(point) for point in points]


def _counts(group: pd.DataFrame) -> dict[str, int]:
    counts = Counter(group["state"])
    return {
        "n_seeds": counts["done"],
        "n_expected": len(group),
        "n_missing": counts["missing"],
        "n_failed": counts["failed"],
        "degenerate": sum(str(value) == "True" for value in group.loc[group["state"] == "done", "degenerate"]),
    }


def _costs(group: pd.DataFrame) -> dict[str, float | int | None]:
    means = {name: finished_mean(group, name) for name in ("train_flops", "inference_flops", "parameters", SHARED)}
    return {name: int(mean) if mean is not None and mean.is_integer() else mean for name, mean in means.items()}
