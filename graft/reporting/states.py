"""The state of each run of a study (done, stale, running, failed or missing), and the reason."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from graft.io import locks
from graft.study import archives, cluster, groups
from graft.study.cluster import Queued
from graft.study.grid import Grid, Run
from graft.study.grid_systems import MEMBER, TRIAL
from graft.study.paths import Paths
from graft.study.steps import graph, tables
from graft.study.steps.evaluate import Evaluate, evaluation
from graft.study.steps.job import wildcard_names
from graft.study.steps.making import MAKERS
from graft.study.steps.step import Making, Step

STATES = ("done", "stale", "running", "failed", "missing")

# What Python, SLURM and the kernel print when a job dies; our own programs print `<rule>: <what is wrong>`.
_ERROR = re.compile(
    r"^(\w+\.)*\w*(Error|Exception|Interrupt|Timeout)\b|\berror: |^Killed|\boom[-_ ]kill|\bout of memory\b",
    re.IGNORECASE,
)
# The last line of a step that was done, which begins as an error does if the step has no wildcards.
_TOOK = r": \d+\.\d s"
_TAIL_BYTES = 16_384
# Seconds for which a starting job may have a log without holding its lock: it imports torch first.
_STARTING = 60.0


@dataclass(frozen=True)
class RunState:
    """A run's state, one of STATES, why it is not done, and the log that shows it."""

    run: Run
    state: str
    why: str = ""
    log: Path | None = None


@dataclass(frozen=True)
class StepState:
    """A running or failed step that is not of a single run (data, models, calibration, tables)."""

    step: Step
    state: str
    why: str
    log: Path


@dataclass(frozen=True)
class Clock:
    """The current time, and when the running snakemake was started (None if none is running)."""

    now: float
    started: float | None

    @classmethod
    def of(cls, paths: Paths, now: float | None = None) -> Clock:
        held = locks.holder(paths.lock) is not None
        return cls(time.time() if now is None else now, paths.lock.stat().st_mtime if held else None)


def run_json(paths: Paths, run: Run) -> Path:
    return paths.run(run.task, run.system.name, run.seed) / "run.json"


def _state_of(grid: Grid, paths: Paths, run: Run, check: bool, clock: Clock, queued: Mapping[Path, Queued]) -> RunState:
    """Find the state of one run.

    `check`: compare the config's fingerprint; `queued`: by output or log, the cluster job that writes it.
    """
    record, stale = run_json(paths, run), ""
    if record.is_file():
        from graft.study import records

        found, expected = records.read(record).provenance.fingerprint, check and evaluation(run).fingerprint(grid)
        if not check or found == expected:
            return RunState(run, "done")
        stale = f"fingerprint {found} in run.json, {expected} by the config"
    making = _making(run)
    built = making.output(paths).is_file() and not (stale and making.recorded(paths) != making.fingerprint(grid))
    step = evaluation(run) if built else making
    log = step.log(paths)
    made_in = step.job(grid)
    files = (log, step.output(paths), *([made_in.log(paths), made_in.marker(paths)] if made_in else []))
    if job := next((queued[file.absolute()] for file in files if file.absolute() in queued), None):
        last = (_tail(log) if job.runs and log.is_file() else None) or [""]
        return RunState(run, "running" if job.runs else "missing", f"{job}; {last[-1]}".removesuffix("; "), log)
    # What an earlier config made stays where the present one failed.
    if stale and not (log.is_file() and (locks.holder(log) is not None or _error_in(_tail(log), step.rule))):
        return RunState(run, "stale", stale)
    if not log.is_file():
        return RunState(run, "missing", "made, not evaluated" if built else "not started")
    return RunState(run, *_attempt(grid, step, paths, clock))


def states(
    grid: Grid, paths: Paths, now: float | None = None, check: bool = True, runs: Sequence[Run] | None = None
) -> list[RunState]:
    """The states of `runs` (default: the grid's, without transfers), in order; `check`: compare config fingerprints.

    The reason of a run that waits for a failed step names that step.
    """
    clock, queued = Clock.of(paths, now), cluster.queued(paths.root)
    found = [_state_of(grid, paths, run, check, clock, queued) for run in (grid.runs if runs is None else runs)]
    others = _shared_steps(grid, paths, found, clock)
    failed = {other.step: str(other.step) for other in others if other.state == "failed"}
    # A transfer only evaluates another run's model.
    own = [state.run for state in found if state.state == "failed" and state.run.trained_on is None]
    failed |= {_making(run): run.id for run in own}
    return _as_archived(paths, [_blocked(grid, state, failed) if failed else state for state in found])


def unknown_source(grid: Grid) -> ValueError | None:
    """The source without which stale runs cannot be recognised, in words; None if all that the study needs are here."""
    try:
        for run in (*grid.runs, *grid.transfer_runs):
            evaluation(run).fingerprint(grid)
    except ValueError as error:
        return error
    return None


def _as_archived(paths: Paths, found: list[RunState]) -> list[RunState]:
    """The states with what an archive says of absent runs, whose logs it does not have."""
    archived = archives.manifest(paths)
    absent = archived.absent if archived else {}
    return [
        RunState(one.run, *absent[one.run.id]) if one.state == "missing" and one.run.id in absent else one
        for one in found
    ]


def step_states(grid: Grid, paths: Paths, found: list[RunState]) -> list[StepState]:
    """Running or failed steps not of a single run: those that unfinished runs wait for, measurements and tables."""
    failed = []
    for step in tables.last(grid):
        log = step.log(paths)
        if error := error_of(log, step.rule):
            failed.append(StepState(step, "failed", error, log))
    return [*_shared_steps(grid, paths, found, Clock.of(paths)), *failed]


def _shared_steps(grid: Grid, paths: Paths, found: list[RunState], clock: Clock) -> list[StepState]:
    pending = [evaluation(state.run) for state in found if state.state not in ("done", "stale")]
    result = []
    for step in [*graph.with_inputs(grid, pending), *graph.measurements(grid)]:
        log = step.log(paths)
        if _of_a_run(grid, step) or step.output(paths).is_file() or not log.is_file():
            continue
        state, why, log = _attempt(grid, step, paths, clock)
        if state != "missing":
            result.append(StepState(step, state, why, log))
    return result


def _of_a_run(grid: Grid, step: Step) -> bool:
    """Whether a step belongs to a single run; hyperparameter trials and members of soups are not runs."""
    if isinstance(step, Making):
        return step.spec(grid).kind not in (TRIAL, MEMBER)
    return isinstance(step, Evaluate)


def _attempt(grid: Grid, step: Step, paths: Paths, clock: Clock) -> tuple[str, str, Path]:
    """State and reason of a step that has a log but no output yet, and the log that shows it."""
    log = step.log(paths)
    lines = _tail(log)
    last = lines[-1] if lines else "nothing in its log yet"
    written = log.stat().st_mtime
    if locks.holder(log) is not None:
        return "running", last, log
    error = _error_in(lines, step.rule)
    if clock.started is not None and written < clock.started:
        return "missing", f"waits to be tried again; the last time: {error or 'killed'}", log
    if error:
        return "failed", error, log
    # The cluster may have recorded what killed it.
    if said := cluster.last_words(paths.root, *_submitted(grid, step)):
        return "failed", f"job {said[0].stem}: {said[1]}", said[0]
    if clock.now - written < _STARTING:
        return "running", f"starting, or killed a moment ago; {last}", log
    return "failed", f"killed: its log ends without an error; {last}", log


def _submitted(grid: Grid, step: Step) -> tuple[str, tuple[str, ...], str | None]:
    """Rule, wildcards and group of the job that does a step."""
    job = step.job(grid)
    rule, names = (job.rule, wildcard_names(job.rule)) if job else (step.rule, step.wildcard_names())
    values = job.values if job else tuple(map(str, step.wildcards))
    return rule, values, groups.group_of(rule, dict(zip(names, values, strict=True)), grid.study.launch)


def _blocked(grid: Grid, state: RunState, failed: dict[Step, str]) -> RunState:
    if state.state != "missing" or state.log is not None:
        return state
    needed = next((step for step in graph.with_inputs(grid, [evaluation(state.run)]) if step in failed), None)
    return RunState(state.run, "missing", f"waits for {failed[needed]}, which failed") if needed else state


def _making(run: Run) -> Making:
    return MAKERS[run.system.program](*run.made)


def error_of(log: Path, rule: str) -> str | None:
    """Return what ended a rule's job, in the words of its log; None if that does not say it."""
    return _error_in(_tail(log), rule) if log.is_file() else None


def _error_in(lines: list[str], rule: str) -> str | None:
    told = [line for line in lines if not re.fullmatch(rf"{rule}{_TOOK}", line)]
    return next((line for line in reversed(told) if line.startswith(f"{rule}: ") or _ERROR.search(line)), None)


def _tail(log: Path) -> list[str]:
    """The non-empty lines at the end of a log."""
    with open(log, "rb") as handle:
        handle.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        text = handle.read().decode(errors="replace")
    return [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
