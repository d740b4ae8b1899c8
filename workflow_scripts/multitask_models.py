"""Combine the encoder merged for all tasks with the head of one task's own fine-tuning."""

from graft.compute import hardware
from graft.making.one_shape import multitask
from graft.study import runs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.multitask_models import MultitaskModels


def make(step: MultitaskModels, grid: Grid, paths: Paths) -> None:
    started = hardware.Stopwatch(grid.study.launch)
    (pretrained, _), (tuned, _), (merged, made) = (runs.finished(grid, paths, one) for one in step.inputs(grid))
    row, out = grid.row(step.task), step.output(paths).with_name("model")
    multitask.under_head(tuned / "model", merged, pretrained, row.labels, out)
    runs.save_system(
        grid,
        paths,
        step,
        started,
        flops=made["train_flops_parts"],
        hyperparameters=made["hyperparameters"],
        choices=made["choices"],
        score=made["select"][step.task],
    )
