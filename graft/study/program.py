"""Shared parts of the workflow's programs: arguments, the study they belong to, one-line errors, progress."""

import argparse
import atexit
import importlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from graft.compute import ending, hardware
from graft.config.study import load
from graft.io import locks
from graft.io.progress import progress as progress
from graft.study import cluster, keeping, working
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.job import Job, wildcard_names
from graft.study.steps.step import Step


def parser(description: str | None) -> argparse.ArgumentParser:
    """Create an argument parser with `--study`, the path of the study's resolved config."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--study", type=Path, required=True, help="results/<study>/study.json")
    return result


def context(args: argparse.Namespace) -> tuple[Grid, Paths]:
    """Return the study's grid and paths; registers this process as a job of the study."""
    paths = Paths(args.study.parent)
    locks.share(paths.jobs_lock)
    locks.refuse_orphan(paths.lock)
    locks.hold_log()
    cluster.register(paths.root)
    return Grid(load(args.study)), paths


def run_step(kind: type[Step], purpose: str | None, threads: bool = True) -> None:
    """Run the program of a step that is a separate job; `threads`: set torch's number of threads to the study's."""

    def main() -> None:
        values, grid, paths = _asked(kind.wildcard_names(), purpose)
        step = kind.of(values)
        check_fingerprint(step.fingerprint(grid), values["fingerprint"], str(step))
        if threads:
            hardware.use_threads(grid.study.launch.threads)
        started = time.perf_counter()
        working.do(step, grid, paths, make)
        print(f"{step}: {time.perf_counter() - started:.1f} s")
        keeping.release(grid, paths, step)

    run(main)


def run_job(rule: str, purpose: str | None) -> None:
    """Run the program of a job of several steps."""

    def main() -> None:
        values, grid, paths = _asked(wildcard_names(rule), purpose)
        job = Job.of(rule, values)
        check_fingerprint(graph.job_fingerprint(grid, job), values["fingerprint"], str(job))
        hardware.use_threads(grid.study.launch.threads)
        working.work(job, grid, paths, make)

    run(main)


def _asked(names: Sequence[str], purpose: str | None) -> tuple[dict[str, str], Grid, Paths]:
    """Parse the arguments of a program: the wildcards of its rule, and the fingerprint that it was scheduled with."""
    arguments = parser(purpose)
    for name in (*names, "fingerprint"):
        arguments.add_argument(f"--{name}", required=True)
    args = arguments.parse_args()
    return vars(args), *context(args)


def make(step: Step, grid: Grid, paths: Paths) -> None:
    """Do a step by the function `make` of workflow_scripts/<rule>.py."""
    importlib.import_module(f"workflow_scripts.{step.rule}").make(step, grid, paths)


def run(main: Callable[[], None]) -> None:
    """Run a program's `main`, and end this process.

    Python takes more than a second to take torch apart, and every job would wait for it: a process that is done only
    runs its exit functions and flushes its output.
    """
    call(main)
    if not ending.owns_process:
        return
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def call(main: Callable[[], None]) -> None:
    """Call a program's `main` under `graft.compute.ending.run`."""
    ending.run(Path(sys.argv[0]).stem, main)
    _leave_processes()


def _leave_processes() -> None:
    """Destroy the process group of a fine-tuning, as torch recommends; one that did not has aborted at its very end,
    with its work done."""
    distributed = sys.modules.get("torch.distributed")
    if distributed and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def check_fingerprint(expected: str, given: str, what: str) -> None:
    """Raise ValueError if the config on disk is not the one this job was scheduled with."""
    if expected != given:
        raise ValueError(
            f"{what}: study.json changed after this job was scheduled ({given} is now {expected}); run snakemake again"
        )
