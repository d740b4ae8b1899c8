"""Make an untrained small model: the shape and tokenizer of another one, weights drawn from a seed."""

from graft.compute import hardware
from graft.study import program, runs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.models import InitialiseModel
from graft.training.initial import initialise_model
from graft.training.saving import write_manifest


def make(step: InitialiseModel, grid: Grid, paths: Paths) -> None:
    launch = hardware.on_cpu(grid.study.launch)
    started = hardware.Stopwatch(launch)
    source = grid.study.models[step.model].source
    out = initialise_model(runs.model_folder(grid, paths, source.like), paths.model(step.model), source.seed)
    write_manifest(out, step.fingerprint(grid), source, launch, started, pretraining_flops=0)


if __name__ == "__main__":
    program.run_step(InitialiseModel, __doc__)
