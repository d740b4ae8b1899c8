"""Merge fine-tunings of one task into a soup; strength, or members, are chosen on `select`."""

from graft.compute import hardware
from graft.making.one_shape import soups
from graft.making.one_shape.combination import Combination
from graft.study import program, runs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.soup_models import SoupModels


def make(step: SoupModels, grid: Grid, paths: Paths) -> None:
    started = hardware.Stopwatch(grid.study.launch)
    system = step.spec(grid)
    with program.progress(step.system) as report:
        device = hardware.device_of(grid.study.launch)
        one = Combination(grid, paths, step.task, system, step.seed, device, report)
        soup = soups.soup(one, step.output(paths).with_name("model"))
    runs.save_system(
        grid,
        paths,
        step,
        started,
        flops=soup.flops,
        hyperparameters=soup.hyperparameters,
        choices=soup.choices,
        score=soup.scores[step.task],
    )
