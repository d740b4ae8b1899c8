"""What became of each run of a study: done, stale, running, failed or missing, and why."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from graft.grid import Grid, Run
from graft.paths import Paths

STATES = ("done", "stale", "running", "failed", "missing")

# The rule, and so the folder of logs, of each program that makes systems.
_RULES = {"finetune": "finetune_model", "merge": "merge_models", "probe": "probe", "majority": "majority"}
# What Python, SLURM and the kernel say when a job dies; our own programs say `<rule>: <what is wrong>`.
_ERROR = re.compile(
    r"^(\w+\.)*\w*(Error|Exception|Interrupt)\b|\berror: |^Killed|\boom[-_ ]kill|\bout of memory\b", re.IGNORECASE
)
_TAIL_BYTES = 16_384
# Programs write a line of progress at least every ten seconds while they compute; a job that is silent for this long
# (seconds) without an error was killed.
_SILENCE = 900.0


@dataclass(frozen=True)
class RunState:
    """A run's state, one of STATES, and why it is not done; `log` is the log that tells."""

    run: Run
    state: str
    why: str = ""
    log: Path | None = None


def run_json(paths: Paths, run: Run) -> Path:
    return paths.run(run.task, run.system.name, run.seed) / "run.json"


def run_log(paths: Paths, run: Run, rule: str) -> Path:
    return paths.logs / rule / run.task / run.system.name / f"seed-{run.seed}.log"


def last_error(log: Path, rule: str) -> str | None:
    """The last line of a rule's log that tells of an error, or None."""
    return next((line for line in reversed(_tail(log)) if _tells_error(line, rule)), None)


def state_of(run: Run, paths: Paths, fingerprint: Callable[[Run], str | None], now: float | None = None) -> RunState:
    """The state of one run.

    `fingerprint`: the config's fingerprint of a run, or None where it cannot be known. A log without a run.json means
    failed if it tells of an error or has been silent for a quarter of an hour, otherwise running; a job that was killed
    less than that ago cannot be told from a running one.
    """
    record = run_json(paths, run)
    if record.is_file():
        from graft import records

        found, expected = records.read(record).provenance.fingerprint, fingerprint(run)
        if expected is not None and found != expected:
            return RunState(run, "stale", f"fingerprint {found} in run.json, {expected} by the config")
        return RunState(run, "done")
    built = (record.parent / "build.json").is_file()
    rule = "evaluate" if built else _RULES[run.system.program]
    log = run_log(paths, run, rule)
    if not log.is_file():
        return RunState(run, "missing", "made, not evaluated" if built else "not started")
    error = last_error(log, rule)
    if error:
        return RunState(run, "failed", error, log)
    silent = (time.time() if now is None else now) - log.stat().st_mtime
    if silent > _SILENCE:
        return RunState(run, "failed", f"no error in the log, and nothing else for {silent / 60:.0f} min: killed?", log)
    return RunState(run, "running", f"or killed: the log has no error yet; last line {silent:.0f} s ago", log)


def states(grid: Grid, paths: Paths, now: float | None = None, check: bool = True) -> list[RunState]:
    """The states of all runs of the grid, in its order; `check`: compare the fingerprints with the config's.

    A run that was not started because the fine-tuning it needs failed says so.
    """

    def fingerprint(run: Run) -> str | None:
        return grid.evaluated(run.task, run.system.name, run.seed) if check else None

    found = [state_of(run, paths, fingerprint, now) for run in grid.runs]
    failed = {state.run.id for state in found if state.state == "failed"}
    return [_blocked(state, failed) for state in found]


def failed_steps(paths: Paths) -> Iterator[tuple[Path, str]]:
    """Logs of steps that belong to no run (data, models, calibration) and that end in an error, with that line."""
    own = {*_RULES.values(), "evaluate"}
    for log in sorted(paths.logs.rglob("*.log")) if paths.logs.is_dir() else ():
        rule = log.relative_to(paths.logs).parts[0].removesuffix(".log")
        lines = [] if rule in own else _tail(log)
        if lines and _tells_error(lines[-1], rule):
            yield log, lines[-1]


def _blocked(state: RunState, failed: set[str]) -> RunState:
    run = state.run
    if state.state != "missing" or run.system.pair is None or not run.system.seeded:
        return state
    needed = f"{run.task}/finetune.{run.system.pair.small}/seed-{run.seed}"
    return RunState(run, "missing", f"waits for {needed}, which failed") if needed in failed else state


def _tells_error(line: str, rule: str) -> bool:
    return line.startswith(f"{rule}: ") or _ERROR.search(line) is not None


def _tail(log: Path) -> list[str]:
    """The last lines of a log that hold anything."""
    with open(log, "rb") as handle:
        handle.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        text = handle.read().decode(errors="replace")
    return [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()]
