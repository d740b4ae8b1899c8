"""Make the baseline that uses only labels: the most frequent class of train, or its mean score."""

import numpy as np

from graft.compute import hardware
from graft.merging.composite import manifest
from graft.study import runs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.majority import Majority
from graft.tasks import metrics


def make(step: Majority, grid: Grid, paths: Paths) -> None:
    launch = hardware.on_cpu(grid.study.launch)
    started, row = hardware.Stopwatch(launch), grid.row(step.task)
    train, select = (runs.labels(paths, step.task, split) for split in ("train", "select"))
    logits = [float(train.mean())] if row.labels is None else np.bincount(train, minlength=row.outputs) / len(train)
    manifest.write(step.output(paths).with_name("model"), "constant", logits=[float(x) for x in logits])
    runs.save_system(
        grid,
        paths,
        step,
        started,
        flops={},
        hyperparameters={},
        choices=[],
        score=metrics.primary(np.tile(logits, (len(select), 1)), select, row),
        launch=launch,
    )
