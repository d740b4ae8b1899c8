"""Time that the steps and jobs of a study take on a machine. Imports no torch."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from graft.compute import machine
from graft.config.launch import Launch
from graft.planning.sizes import sizes_of
from graft.registry import rates
from graft.registry.rates import Rates
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.sizes import Sizes, Unknown
from graft.study.steps import graph
from graft.study.steps.job import Job
from graft.study.steps.step import Step, Work

# Seconds of a job's start: an interpreter and its imports; where jobs are forked from a process that has these, a fork.
STARTING, FORKING = 3.0, 0.3
# Seconds of a step beside its FLOPs and its model: it reads tokens, states and records, and writes its own.
_BESIDE = 0.2
_TABLES = {"gather": 3.0, "compare": 5.0, "tabulate_costs": 3.0, "plot": 8.0, "report": 4.0, "download_model": 3.0}
# Times that a rule's FLOPs take longer than others of their kind: sums of moments are in float64.
_SLOWER = {"calibrate": 1.4}
# The GPU that is assumed where a job would get one that is not known.
_SOME_GPU = "a100"
# What a job asks of a cluster: its estimate times a margin, and minutes to start.
_MARGIN, _AT_LEAST = 3, 10


def measured_rates(paths: Paths) -> Path:
    """Where `plan --measure` keeps what it measured for a study."""
    return paths.root / "rates.json"


def rates_of(launch: Launch, paths: Paths, name: str | None = None) -> Rates:
    """Rates of the GPU with this name, or of the "cpu"; by default as measured, or of what jobs would compute on here.

    Raises ValueError for an unknown name.
    """
    if name is None and measured_rates(paths).is_file():
        return Rates.read(measured_rates(paths))
    if name is None:
        name = machine.gpu() if launch.device != "cpu" else "cpu"
    if name is None:
        name = _SOME_GPU if launch.device == "cuda" else "cpu"
    return (rates.CPU if name == "cpu" else rates.of_gpu(name)).of_threads(launch.threads)


class Estimates:
    """FLOPs and seconds of a study's steps with the rates of a machine; unknown sizes raise Unknown."""

    def __init__(self, sizes: Sizes, of_machine: Rates) -> None:
        self.sizes, self.rates = sizes, of_machine
        asked, best = (
            sizes.grid.study.launch.precision,
            "bf16" if of_machine.device == "cuda" else machine.cpu_precision(),
        )
        self.training = f"training {best if asked == 'auto' else asked}"
        self._known: dict[object, tuple[int, float] | Unknown] = {}

    def of(self, step: Step) -> tuple[int, float]:
        """FLOPs and seconds of a step, which are the same for every seed."""
        fields = (value for name, value in vars(step).items() if name != "seed")
        key = (step.rule, *fields)
        if key not in self._known:
            try:
                self._known[key] = self._of(step)
            except Unknown as error:
                self._known[key] = error
        found = self._known[key]
        if isinstance(found, Unknown):
            raise found
        return found

    def seconds(self, steps: Iterable[Step]) -> float:
        """Seconds of these steps, one after the other."""
        return sum(self.of(step)[1] for step in steps)

    def _of(self, step: Step) -> tuple[int, float]:
        works = list(step.work(self.sizes))
        computing = _SLOWER.get(step.rule, 1.0) * sum(self._seconds(step, work) for work in works)
        saving = step.bytes(self.sizes) / self.rates.saving
        return sum(work.flops for work in works), computing + saving + _TABLES.get(step.rule, _BESIDE)

    def _seconds(self, step: Step, work: Work) -> float:
        kind = self.training if work.mode == "training" else work.mode
        width = self.sizes.shape(_model(step, self.sizes.grid, work.mode)).width
        return self.rates.seconds(work.flops, kind, width)


def _model(step: Step, grid: Grid, mode: str) -> str:
    """The model that does most of a step's work of this mode."""
    own, system = getattr(step, "model", None), grid.systems.get(getattr(step, "system", ""))
    pair = grid.pair(step.pair) if hasattr(step, "pair") else grid.study.pairs[0]
    if isinstance(own, str):
        return own
    if system and system.model:
        return system.model
    if system and system.pair:
        pair = system.own_pair
    # What is trained beside a large model is small.
    return pair.small if mode == "training" else pair.large


@functools.cache
def _on_a_cluster(grid: Grid, paths: Paths) -> Estimates:
    return _estimates(grid, paths, True)


def _estimates(grid: Grid, paths: Paths, on_a_cluster: bool) -> Estimates:
    name = None
    if on_a_cluster and not measured_rates(paths).is_file():
        name = _SOME_GPU if grid.study.launch.gpus_of_a_job else "cpu"
    known = rates_of(grid.study.launch, paths, name)
    return Estimates(sizes_of(grid, paths, known.device), known)


def minutes(grid: Grid, paths: Paths, job: Job | Step) -> int | None:
    """Minutes that a job, or a step that is a separate job, can be given on a cluster: more than it should take.

    None if its sizes are not known.
    """
    steps = graph.jobs_of(grid)[job] if isinstance(job, Job) else [job]
    try:
        return math.ceil(_MARGIN * _on_a_cluster(grid, paths).seconds(steps) / 60) + _AT_LEAST
    except Unknown:
        return None


def seconds(
    grid: Grid, paths: Paths, jobs: Mapping[int, Iterable[Step]], on_a_cluster: bool
) -> dict[int, float] | None:
    """Seconds that each of these jobs, which consist of these steps, should take once started; here, or on a cluster.

    None if a size is not known yet.
    """
    made = _estimates(grid, paths, on_a_cluster)
    try:
        return {number: made.seconds(steps) for number, steps in jobs.items()}
    except Unknown:
        return None


def cores(threads: int, given: int | None) -> int:
    """Jobs that this machine, or one with `given` cores, does at the same time."""
    return max((given or len(os.sched_getaffinity(0))) // threads, 1)
