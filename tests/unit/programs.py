"""Calling the programs of a study's steps in this process, as its rules do."""

import sys
from importlib import import_module

import pytest

from graft.compute import hardware
from graft.io import files, locks
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.evaluate import evaluation
from graft.study.steps.step import Step


def run(grid: Grid, paths: Paths, step: Step) -> None:
    """Call a step's program."""
    values = dict(zip(step.wildcard_names(), step.wildcards, strict=True))
    values |= {"study": paths.study, "fingerprint": step.fingerprint(grid)}
    # As snakemake does.
    step.output(paths).parent.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        # Locks and torch's settings would outlive the step in this process.
        patch.setattr(locks, "share", lambda path: None)
        patch.setattr(locks, "hold_log", lambda: None)
        patch.setattr(hardware, "use_threads", lambda count: None)
        patch.setattr(sys, "argv", [step.rule, *(f"--{name}={value}" for name, value in values.items())])
        import_module(f"workflow_scripts.{step.rule}").main()


def finish(grid: Grid, paths: Paths) -> None:
    """Make all runs of a study, from nothing to every run.json."""
    files.write_json(paths.study, grid.study.model_dump(mode="json", by_alias=True))
    for step in graph.with_inputs(grid, [evaluation(run) for run in grid.runs]):
        run(grid, paths, step)
