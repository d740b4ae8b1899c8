"""Plan of a study before any job runs: jobs, FLOPs, GPU hours and disk space. Imports no torch."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from graft.planning.sizes import sizes_of
from graft.registry.gpus import Gpu
from graft.registry.shapes import Shape
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.sizes import Sizes, TaskSizes, Unknown
from graft.study.steps import graph
from graft.study.steps.step import FILES, Step, Work

# Kinds of work, in the plan's order.
KINDS = (
    "fine-tuning large",
    "fine-tuning small",
    "distillation",
    "pre-training",
    "embedding",
    "probes",
    "calibration",
    "sweeps",
    "merging",
    "evaluation",
    "measuring",
)


@dataclass(frozen=True)
class Total:
    """Totals of one kind of step: jobs, known FLOPs and GPU hours, and the number of jobs of unknown size."""

    kind: str
    jobs: int
    flops: int
    hours: float
    unknown: int


@dataclass(frozen=True)
class Plan:
    """Jobs, compute and disk space of a whole study run from scratch.

    `jobs`: per rule, including the target `all`; `disk`: bytes, and whether they are complete; `unknown`: each unknown
    quantity, and the command that would make it known.
    """

    study: str
    gpu: Gpu
    utilisation: float
    jobs: dict[str, int]
    kinds: list[Total]
    disk: dict[str, tuple[int, bool]]
    tasks: dict[str, TaskSizes]
    models: dict[str, tuple[Shape, str]]
    unknown: list[str]


def plan(grid: Grid, paths: Paths, gpu: Gpu, utilisation: float) -> Plan:
    """Plan a study; `utilisation` is the achieved share of the GPU's peak FLOP/s."""
    sizes, jobs = sizes_of(grid, paths), graph.of_study(grid)
    peak = {"training": gpu.fp32 if grid.study.launch.precision == "fp32" else gpu.bf16, "inference": gpu.fp32}

    def hours(work: Work) -> float:
        return work.flops / (peak[work.mode] * utilisation) / 3600 if work.mode in peak else 0.0

    return Plan(
        study=grid.study.name,
        gpu=gpu,
        utilisation=utilisation,
        jobs=dict(Counter(step.rule for step in jobs)) | {"all": 1},
        kinds=_totals(sizes, jobs, hours),
        disk=_disk(sizes, jobs),
        tasks=_known(sizes.task, grid.study.tasks),
        models=_known(sizes.shape_and_source, grid.study.models),
        unknown=list(sizes.unknown),
    )


def _totals(sizes: Sizes, jobs: list[Step], hours: Callable[[Work], float]) -> list[Total]:
    number: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    found: dict[str, list[Work]] = {kind: [] for kind in KINDS}
    for step in jobs:
        kind = step.kind(sizes.grid)
        if kind is None:
            continue
        number[kind] += 1
        try:
            # Whole steps only: one whose sizes are unknown is counted as unknown, not in part.
            found[kind] += list(step.work(sizes))
        except Unknown:
            unknown[kind] += 1
    return [
        Total(kind, number[kind], sum(w.flops for w in works), sum(map(hours, works)), unknown[kind])
        for kind, works in found.items()
        if number[kind]
    ]


def _disk(sizes: Sizes, jobs: list[Step]) -> dict[str, tuple[int, bool]]:
    """Bytes by category, and whether each sum is complete."""
    found = dict.fromkeys(FILES, (0, True))
    for step in jobs:
        if step.files:
            known, whole = found[step.files]
            try:
                found[step.files] = known + step.bytes(sizes), whole
            except Unknown:
                found[step.files] = known, False
    return found


def _known(ask: Callable[[str], Any], names: Iterable[str]) -> dict[str, Any]:
    """Ask about each name, leaving out those that raise Unknown."""
    found = {}
    for name in names:
        with contextlib.suppress(Unknown):
            found[name] = ask(name)
    return found
