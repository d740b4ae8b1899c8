"""Plan of a study before any job runs: jobs, FLOPs, time and disk space. Imports no torch."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from graft.planning import estimates
from graft.planning.disk import Disk, disk
from graft.planning.estimates import Estimates
from graft.planning.sizes import sizes_of
from graft.registry.rates import Rates
from graft.registry.shapes import Shape
from graft.study import groups
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.sizes import TaskSizes, Unknown
from graft.study.steps import graph
from graft.study.steps.job import Job, wildcard_names
from graft.study.steps.step import Step

# Kinds of work, in the plan's order; what computes nothing comes last.
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
    "all else",
)


@dataclass(frozen=True)
class Total:
    """Totals of one kind of step: steps, known FLOPs and seconds, and the number of steps of unknown size."""

    kind: str
    steps: int
    flops: int
    seconds: float
    unknown: int


@dataclass(frozen=True)
class Time:
    """Seconds of a study: `start` of each of its jobs, `work` of all of them, `longest` chain of jobs that wait for one
    another, and `wall`, if `at_once` jobs run at the same time."""

    start: float
    work: float
    longest: float
    at_once: int

    @property
    def wall(self) -> float:
        return max(self.work / self.at_once, self.longest)


@dataclass(frozen=True)
class Plan:
    """Jobs, compute and disk space of a whole study run from scratch.

    `jobs`: per rule, including the target `all`; `submissions`: of jobs to a cluster; `training`: the mode of training;
    `unknown`: each unknown quantity, and the command that would make it known.
    """

    study: str
    rates: Rates
    training: str
    jobs: dict[str, int]
    submissions: int
    kinds: list[Total]
    time: Time
    disk: Disk
    tasks: dict[str, TaskSizes]
    models: dict[str, tuple[Shape, str]]
    unknown: list[str]


def plan(grid: Grid, paths: Paths, rates: Rates, machines: int = 1, cores: int | None = None) -> Plan:
    """Plan a study on machines with these rates; `cores`: of each, by default as many as this one has."""
    sizes, jobs = sizes_of(grid, paths, rates.device), _jobs(grid)
    made = Estimates(sizes, rates)
    at_once = machines * (estimates.cores(grid.study.launch.threads, cores) if rates.device == "cpu" else 1)
    return Plan(
        study=grid.study.name,
        rates=rates,
        training=made.training,
        jobs=dict(Counter(job.rule for job in jobs)) | {"all": 1},
        submissions=len({_submission(grid, job) for job in jobs if isinstance(job, Job) or not job.local}),
        kinds=_totals(made, [step for steps in jobs.values() for step in steps]),
        time=_time(made, jobs, machines, at_once),
        disk=disk(sizes, [step for steps in jobs.values() for step in steps], lambda step: made.of(step)[1]),
        tasks=_known(sizes.task, grid.study.tasks),
        models=_known(sizes.shape_and_source, grid.study.models),
        unknown=list(sizes.unknown),
    )


def shapes(grid: Grid, paths: Paths) -> list[Shape]:
    """Shapes of a study's models, as far as they are known."""
    return [shape for shape, _ in _known(sizes_of(grid, paths).shape_and_source, grid.study.models).values()]


def _jobs(grid: Grid) -> dict[Job | Step, list[Step]]:
    """All jobs and their steps, in an order in which inputs come first, task by task and seed by seed."""
    together = graph.jobs_of(grid)
    steps = {job: [job] for job in graph.of_study(grid) if not job.job(grid)} | together
    tasks = [*grid.study.tasks, *grid.transfers]

    def place(job: Job | Step) -> tuple[int, int]:
        first = steps[job][0]
        task, seed = getattr(first, "task", None), getattr(first, "seed", None)
        return tasks.index(task) if task in tasks else len(tasks), seed if isinstance(seed, int) else -1

    found: dict[Job | Step, list[Step]] = {}

    def add(job: Job | Step) -> None:
        if job not in found:
            for needed in _needs(grid, steps[job]):
                if needed != job:
                    add(needed)
            found[job] = steps[job]

    for job in sorted(steps, key=place):
        add(job)
    return found


def _needs(grid: Grid, steps: Iterable[Step]) -> list[Job | Step]:
    inputs = (needed for step in steps for needed in step.inputs(grid))
    return list(dict.fromkeys(needed.job(grid) or needed for needed in inputs))


def _submission(grid: Grid, job: Job | Step) -> object:
    """The group in which a job is submitted to a cluster, or the job itself."""
    values = job.values if isinstance(job, Job) else map(str, job.wildcards)
    names = wildcard_names(job.rule) if isinstance(job, Job) else job.wildcard_names()
    return groups.group_of(job.rule, dict(zip(names, values, strict=True)), grid.study.launch) or job


def _time(made: Estimates, jobs: dict[Job | Step, list[Step]], machines: int, at_once: int) -> Time:
    start = estimates.FORKING if made.rates.device == "cpu" and machines == 1 else estimates.STARTING
    total, ends = 0.0, dict[Job | Step, float]()
    for job, steps in jobs.items():
        seconds = start
        for step in steps:
            with contextlib.suppress(Unknown):
                seconds += made.of(step)[1]
        total += seconds
        before = (ends[needed] for needed in _needs(made.sizes.grid, steps) if needed != job)
        ends[job] = seconds + max(before, default=0.0)
    return Time(start, total, max(ends.values()), at_once)


def _totals(made: Estimates, steps: Iterable[Step]) -> list[Total]:
    number: Counter[str] = Counter()
    unknown: Counter[str] = Counter()
    flops: Counter[str] = Counter()
    seconds = dict.fromkeys(KINDS, 0.0)
    for step in steps:
        kind = step.kind(made.sizes.grid) or KINDS[-1]
        number[kind] += 1
        try:
            # Whole steps only: one whose sizes are unknown is counted as unknown, not in part.
            own, taken = made.of(step)
        except Unknown:
            unknown[kind] += 1
        else:
            flops[kind] += own
            seconds[kind] += taken
    return [Total(kind, number[kind], flops[kind], seconds[kind], unknown[kind]) for kind in KINDS if number[kind]]


def _known(ask: Callable[[str], Any], names: Iterable[str]) -> dict[str, Any]:
    """Ask about each name, leaving out those that raise Unknown."""
    found = {}
    for name in names:
        with contextlib.suppress(Unknown):
            found[name] = ask(name)
    return found
