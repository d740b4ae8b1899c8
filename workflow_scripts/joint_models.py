"""Combine the encoder fine-tuned on all tasks together with one task's output layer."""

from safetensors.torch import load_file

from graft.compute import hardware
from graft.making import joint
from graft.study import runs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.joint_models import JointModels


def make(step: JointModels, grid: Grid, paths: Paths) -> None:
    started = hardware.Stopwatch(grid.study.launch)
    folder, made = runs.finished(grid, paths, step.training)
    out, tensors = step.output(paths).with_name("model"), load_file(folder / "model.safetensors")
    joint.save(grid, paths, step.task, step.spec(grid).model, tensors, out)
    runs.save_system(
        grid,
        paths,
        step,
        started,
        flops=made["train_flops_parts"],
        nominal=made["nominal_flops_parts"],
        hyperparameters=made["hyperparameters"],
        choices=made["choices"],
        score=made["select"][step.task],
    )
