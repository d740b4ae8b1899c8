"""Warm starts as curves: metric and FLOPs spent, by number of training steps from each start."""

from typing import Any

import pandas as pd

from graft.reporting import formats
from graft.reporting.differences import pair_of
from graft.study.grid import Grid

COLUMNS = (
    *("task", "merge", "arm", "steps", "system", "n_seeds", "mean", "ci_low", "ci_high"),
    *("train_flops", "without_small"),
)


def curves(comparison: pd.DataFrame, grid: Grid) -> pd.DataFrame:
    """One row per task, merge, arm and number of steps, from the table of `comparison.comparison`; 0 steps: the start.

    `train_flops` are all FLOPs; `without_small` leaves out those of the fine-tuned small model.
    """
    rows = {(row["task"], row["system"]): row for row in formats.records(comparison)}
    systems = [system for system in grid.systems.values() if system.steps]
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for task in grid.study.tasks:
        for system in systems:
            _, arm, _, merge = system.name.split(".", 3)
            small = rows.get((task, f"finetune.{pair_of(system, grid).small}"))
            for steps, name in ((0, system.parent), (system.steps, system.name)):
                row = rows.get((task, name))
                if row is not None:
                    spent = _without(row, small, arm, system.settings.head)
                    own = {"task": task, "merge": merge, "arm": arm, "steps": steps, "without_small": spent}
                    found[task, merge, arm, steps] = {**row, **own}
    return pd.DataFrame(list(found.values()), columns=list(COLUMNS), dtype=object)


def _without(row: dict[str, Any], small: dict[str, Any] | None, arm: str, head: str) -> float | None:
    flops, spent = row["train_flops"], small and small["train_flops"]
    # A labelled head alone and a new head do not depend on the small model.
    if arm == "random-head" or (arm == "closed-form-head" and head == "labelled"):
        return flops
    return None if flops is None or spent is None else flops - spent
