"""Shared parts of the workflow's programs: arguments, the study they belong to, one-line errors, progress."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from graft.compute import ending, hardware
from graft.config.study import load
from graft.io import locks
from graft.io.progress import progress as progress
from graft.study import cluster
from graft.study.grid import ALL_SEEDS, Grid
from graft.study.paths import Paths


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


def of_system(
    purpose: str | None, fingerprint: Callable[[Grid, str, str, int | str], str] = Grid.made
) -> tuple[argparse.Namespace, Grid, Paths]:
    """Parse the arguments of a program for one system, task and seed, and check its `fingerprint`.

    Sets the number of threads to the study's. Raises ValueError as `check_fingerprint` does.
    """
    arguments = parser(purpose)
    arguments.add_argument("--task", required=True)
    arguments.add_argument("--system", required=True)
    arguments.add_argument("--seed", type=lambda s: s if s == ALL_SEEDS else int(s), required=True)
    arguments.add_argument("--fingerprint", required=True)
    args = arguments.parse_args()
    grid, paths = context(args)
    check_fingerprint(fingerprint(grid, args.task, args.system, args.seed), args.fingerprint, args.system)
    hardware.use_threads(grid.study.launch.threads)
    return args, grid, paths


def run(main: Callable[[], None]) -> None:
    """Run a program's `main` under `graft.compute.ending.run`."""
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
