"""Make a model of a finished study again that was not kept."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from graft.io import locks
from graft.io.workflow import ROOT
from graft.study import launcher
from graft.study.grid import Grid, Run
from graft.study.paths import Paths
from graft.study.steps.finetune_model import Tuning
from graft.study.steps.making import making


def build(grid: Grid, paths: Paths, run: Run) -> Path:
    """Make the model of a run, if it is not here, by as many processes as the first time; returns its folder.

    Raises ValueError if snakemake runs the study, or if the model could not be made.
    """
    step = making(grid, *run.made)
    mark = locks.hold(paths.lock, f"study {grid.study.name}")
    locks.wait_for_jobs(paths.jobs_lock, f"study {grid.study.name}")
    start = launcher.start(grid.study.launch) if isinstance(step, Tuning) else "python -m"
    words = [sys.executable if word == "python" else word for word in shlex.split(start)]
    words += ["workflow_scripts.build_model", "--study", str(paths.study)]
    words += ["--task", step.task, "--system", step.system, "--seed", str(step.seed)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), locks.RUN: mark}
    if subprocess.run(words, env=environment).returncode:
        raise ValueError(f"{run.id}: its model could not be made; see above")
    return step.model(paths)
