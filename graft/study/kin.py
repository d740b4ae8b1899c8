"""Kin: systems of a task that share one architecture by construction, and the run whose model represents them.

Weights merges, their controls, and all fine-tunings of the large model yield a model of its shape, so their inference
cost is measured once. Imports no torch.
"""

from dataclasses import dataclass
from typing import Any

from graft.config.models import Like
from graft.registry import methods
from graft.study.grid import Grid, Run
from graft.study.grid_systems import System


@dataclass(frozen=True)
class Kin:
    """Names of the systems, and the first of their runs in the grid, which represents them."""

    run: Run
    systems: tuple[str, ...]


def kin(grid: Grid, task: str) -> list[Kin]:
    """All kin of a task, in the grid's order.

    `majority`, which has no model to run, is in none; nor are systems with few labels, whose models are like others'.

    Each composite, and each probe of layers, has no kin, since choices made on `select` (such as the cut of a
    stitch) may change its architecture; its first run represents the others.
    """
    runs: dict[Any, list[Run]] = {}
    for run in grid.runs:
        if run.task == task and (key := _key(grid, task, run.system)):
            runs.setdefault(key, []).append(run)
    return [Kin(found[0], tuple(dict.fromkeys(run.system.name for run in found))) for found in runs.values()]


def measured_tasks(grid: Grid) -> list[str]:
    """Tasks on which `measure_cost` has systems to measure."""
    return [task for task in grid.study.tasks if kin(grid, task)] if grid.study.cost.measure else []


def _key(grid: Grid, task: str, system: System) -> tuple[Any, ...] | None:
    """Key shared by kin: kind of model, shape, tokenization; None if the system is in none."""
    if system.program == "majority" or system.labels is not None:
        return None
    composite = system.program == "merge" and system.merge and methods.facts(system.method).kind == "composite"
    if composite or system.program == "probe_layers":
        return (system.name,)
    reads = grid.reads_as(system)
    texts = grid.study.tokenizer_of(reads), grid.max_tokens(task, reads)
    members = system.settings.members if system.program == "ensemble" else 1
    return system.pooling, members, _shape(grid, system.model or system.own_pair.large), *texts


def _shape(grid: Grid, model: str) -> str:
    """Name of the model whose shape a model has: the one it is like, or itself."""
    source = grid.study.models[model].source
    return source.like if isinstance(source, Like) else model
