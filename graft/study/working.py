"""Do the steps of a job one after the other in this process, each only if it is not done yet.

A step that fails, fails alone: the others that do not need it are still done. A kill loses the step it hits. Imports
torch only where a step has loaded it.
"""

import gc
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from graft.compute import ending
from graft.compute.stopping import Stopped
from graft.io import files, locks
from graft.io.workflow import COMMAND
from graft.study import keeping
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.finetune_model import Tuning
from graft.study.steps.job import Job
from graft.study.steps.models import DownloadModel
from graft.study.steps.step import Making, Step

Make = Callable[[Step, Grid, Paths], None]


def work(job: Job, grid: Grid, paths: Paths, make: Make) -> None:
    """Do a job's steps and write its marker; raises ValueError if one failed, after trying the others.

    Of the processes of a fine-tuning, all but the first only help to train.
    """
    steps, log = graph.jobs_of(grid)[job], job.log(paths)
    if helps := int(os.environ.get("RANK", 0)) > 0:
        steps = [step for step in steps if isinstance(step, Tuning)]
    failed: dict[Step, str] = {}
    left = graph.left(steps, grid, paths)
    for number, step in enumerate(steps, 1):
        started, problem = time.perf_counter(), ""
        if needed := next((other for other in step.inputs(grid) if other in failed), None):
            problem = f"needs {needed}, which failed"
        elif step in left:
            with _own_log(step.log(paths), log):
                problem = _attempt(step, grid, paths, make)
            outcome = f"failed: {step}: {problem}" if problem else f"{step}: {time.perf_counter() - started:.1f} s"
            print(f"[{number}/{len(steps)}] {outcome}", flush=True)
        if problem:
            failed[step] = problem
        elif not helps:
            keeping.release(grid, paths, step)
    if failed:
        first = next(iter(failed))
        if first.log(paths) == log:
            raise ValueError(failed[first])
        raise ValueError(f"{len(failed)} of {len(steps)} steps failed, first {first}: {failed[first]}")
    if not helps:
        files.write_json(job.marker(paths), {"fingerprint": graph.job_fingerprint(grid, job), "steps": len(steps)})


def do(step: Step, grid: Grid, paths: Paths, make: Make) -> None:
    """Do one step whose inputs are done; of these, models and states that were not kept are made again first.

    Raises ValueError if such a model is not the one that was recorded.
    """
    gone: list[Step] = [made for made in step.needs(grid, paths) if not made.model(paths).is_dir()]
    gone += [read for read in step.inputs(grid) if read.temporary and not read.is_done(grid, paths)]
    if gone:
        with _turn(paths):
            for other in gone:
                provide(other, grid, paths, make, model=True)
    _make(step, grid, paths, make)


@contextmanager
def _turn(paths: Paths) -> Iterator[None]:
    """Let one job at a time make models again, as several may need the same; processes of one job go together."""
    first = int(os.environ.get("RANK", 0)) == 0
    turn = locks.take_turn(paths.root / ".again.lock", "models that were not kept", "job") if first else None
    try:
        yield
    finally:
        locks.end_turn(turn)


def provide(step: Step, grid: Grid, paths: Paths, make: Make, model: bool = False) -> None:
    """Make a step's output, and whatever that needs, if it is not here; `model`: its model too."""
    if not step.is_done(grid, paths):
        if isinstance(step, DownloadTask | DownloadModel):
            raise ValueError(f"{step.output(paths)}: missing; run snakemake again")
        _provide_inputs(step, grid, paths, make)
        _make(step, grid, paths, make)
    elif model and isinstance(step, Making) and not step.model(paths).is_dir():
        _provide_inputs(step, grid, paths, make)
        _make_again(step, grid, paths, make)


def _make(step: Step, grid: Grid, paths: Paths, make: Make) -> None:
    step.output(paths).parent.mkdir(parents=True, exist_ok=True)
    _like_a_new_process()
    make(step, grid, paths)


def _provide_inputs(step: Step, grid: Grid, paths: Paths, make: Make) -> None:
    loaded = step.loads(grid)
    for other in step.inputs(grid):
        provide(other, grid, paths, make, other in loaded)


def _make_again(step: Making, grid: Grid, paths: Paths, make: Make) -> None:
    """Make a model that was not kept; the record of how it was made stays as it is."""
    path = step.output(paths)
    recorded, text, made_at = files.read_json(path), path.read_bytes(), path.stat().st_mtime_ns
    _refuse_other_world(step, grid, paths)
    print(f"{step}: its model was not kept; making it again", flush=True)
    _make(step, grid, paths, make)
    if int(os.environ.get("RANK", 0)):
        return
    made = files.read_json(path)
    if made["model_sha256"] == recorded["model_sha256"]:
        with files.atomic_file(path) as temporary:
            temporary.write_bytes(text)
        return os.utime(path, ns=(made_at, made_at))
    path.unlink()
    then, now = (_short(one["provenance"]["hardware"]) for one in (recorded, made))
    raise ValueError(
        f"{step.model(paths)}: made again on {now}, it is not the model that was recorded (made on {then}); its record "
        "is deleted: run snakemake again to make it and all that depends on it anew"
    )


def _refuse_other_world(step: Making, grid: Grid, paths: Paths) -> None:
    """Raise ValueError if a model would be made again by another number of processes than the first time."""
    launch, here = grid.study.launch, int(os.environ.get("WORLD_SIZE", 0))
    launched = launch.processes if isinstance(step, Tuning) and launch.distributed else 0
    if launched != here:
        what = f"{step.task} {step.system} {step.seed}"
        raise ValueError(
            f"{step.model(paths)}: not kept, and is made by {launched or 1} process(es), not by {here or 1}; make it "
            f"again by `{COMMAND} build {grid.study.name} {what}`, then run snakemake again"
        )


def _short(hardware: dict[str, object]) -> str:
    return ", ".join(str(value) for value in hardware.values() if value)


def _attempt(step: Step, grid: Grid, paths: Paths, make: Make) -> str:
    """Do a step; returns what went wrong, or nothing."""
    try:
        do(step, grid, paths, make)
    except Stopped:
        raise  # the whole job was asked to stop
    except Exception as error:
        message = ending.sentence(error)
        if message is None:
            traceback.print_exc()
        else:
            print(f"{step.rule}: {message}", file=sys.stderr)
        failure = message or f"{type(error).__name__}: {error}".splitlines()[0]
        # What the failed step held on to is freed for the others.
        del error
        gc.collect()
        return failure
    return ""


def _like_a_new_process() -> None:
    """Forget what earlier steps left: torch's random numbers, and accelerate's precision and devices."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(torch.Generator().initial_seed())
    if accelerate := sys.modules.get("accelerate.state"):
        accelerate.AcceleratorState._reset_state(reset_partial_state=True)


@contextmanager
def _own_log(log: Path, job_log: Path) -> Iterator[None]:
    """Send this process's output to a step's own log, locked while it is written, unless that is the job's."""
    if log == job_log:
        yield
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    for number in (1, 2):
        os.dup2(descriptor, number)
    os.close(descriptor)
    locks.hold_log()
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, before in zip((1, 2), kept, strict=True):
            os.dup2(before, number)
            os.close(before)
