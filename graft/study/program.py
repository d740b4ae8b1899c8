"""Shared parts of the workflow's programs: arguments, the study they belong to, one-line errors, progress."""

import argparse
import atexit
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from graft.compute import ending, hardware
from graft.config.study import load
from graft.io import locks
from graft.io.progress import progress as progress
from graft.study import cluster
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.step import Step

S = TypeVar("S", bound=Step)


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


def start(kind: type[S], purpose: str | None, threads: bool = True) -> tuple[S, Grid, Paths]:
    """Parse the arguments of a step's program, the wildcards of its rule, and check the step's fingerprint.

    `threads`: set torch's number of threads to the study's. Raises ValueError if the config on disk is not the one that
    this job was scheduled with.
    """
    arguments = parser(purpose)
    for name in (*kind.wildcard_names(), "fingerprint"):
        arguments.add_argument(f"--{name}", required=True)
    args = arguments.parse_args()
    grid, paths = context(args)
    step = kind.of(vars(args))
    check_fingerprint(step.fingerprint(grid), args.fingerprint, str(step))
    if threads:
        hardware.use_threads(grid.study.launch.threads)
    return step, grid, paths


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
