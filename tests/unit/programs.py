"""Calling the programs of a study's steps in this process, as its rules do."""

import sys
from importlib import import_module

import pytest

from graft.compute import hardware
from graft.io import files, locks
from graft.study import steps
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import Step

# Arguments of each rule's program, in the order of the rule's wildcards.
ARGUMENTS = {
    "download_task": ("task",),
    "download_model": ("model",),
    "tokenize_task": ("task", "tokenizer"),
    "embed_task": ("task", "model"),
    "embed_layers": ("task", "pair"),
    "calibrate": ("task", "pair", "depth"),
    "sweep": ("task", "merge", "pair", "seed"),
    "model_statistics": ("task", "system", "seed", "statistic"),
    "merge_encoders": ("system", "seed"),
}
OF_SYSTEMS = ("task", "system", "seed")


def run(grid: Grid, paths: Paths, step: Step) -> None:
    """Call a step's program."""
    values = dict(zip(ARGUMENTS.get(step.rule, OF_SYSTEMS), step.wildcards, strict=True))
    if step.rule in ("probe", "majority"):
        system = grid.systems[values.pop("system")]
        del values["seed"]
        values |= {"model": system.model, "pooling": system.pooling} if system.model else {}
    values |= {"study": paths.study, "fingerprint": steps.fingerprint_of(grid, step)}
    # As snakemake does.
    steps.output_of(step, paths).parent.mkdir(parents=True, exist_ok=True)
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
    for step in steps.with_inputs(grid, [steps.evaluation(run) for run in grid.runs]):
        run(grid, paths, step)
