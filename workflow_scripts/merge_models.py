"""Make one merged system or control: search on `select`, save the chosen model."""

from graft.cli import cards
from graft.compute import hardware
from graft.making.merges import build
from graft.making.pair_inputs import PairInputs
from graft.making.splits import splits_of
from graft.study import program
from graft.study.grid import Grid
from graft.study.grid_systems import effective
from graft.study.paths import Paths
from graft.study.runs import save_system
from graft.study.steps.merge_models import MergeModels


def make(step: MergeModels, grid: Grid, paths: Paths) -> None:
    started = hardware.Stopwatch(grid.study.launch)
    system = step.spec(grid)
    device = hardware.device_of(grid.study.launch)
    splits = splits_of(grid, paths, step.task, system, step.seed)
    inputs = PairInputs(grid, paths, step.task, system.pair.name, step.seed, device, splits)
    with program.progress(step.system) as report:
        built = build(inputs, system, step.output(paths).with_name("model"), report)
    save_system(
        grid,
        paths,
        step,
        started,
        flops=built.flops | splits.flops,
        nominal=built.nominal,
        hyperparameters={**effective(system), **built.hyperparameters},
        choices=built.choice.records(inputs.row.primary_metric, built.searched),
        diagnostics=built.diagnostics,
        score=built.choice.score,
    )
    cards.write(grid, paths, step.task, step.system, step.seed)
