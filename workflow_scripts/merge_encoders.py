"""Merge the encoders of one seed's fine-tunings of all tasks into one; the strength is chosen on their `select`."""

from graft.compute import hardware
from graft.io import files
from graft.making.one_shape import multitask
from graft.making.one_shape.combination import Combination
from graft.study import program
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.merge_encoders import MergeEncoders


def make(step: MergeEncoders, grid: Grid, paths: Paths) -> None:
    started = hardware.Stopwatch(grid.study.launch)
    system, device = grid.systems[step.system], hardware.device_of(grid.study.launch)
    with (
        program.progress(step.system) as report,
        files.atomic_folder(step.output(paths).parent) as folder,
    ):
        merged = multitask.encoder(Combination(grid, paths, "", system, step.seed, device, report), folder)
        files.write_json(
            folder / "manifest.json",
            {
                "fingerprint": step.fingerprint(grid),
                "train_flops_parts": merged.flops,
                "hyperparameters": merged.hyperparameters,
                "choices": merged.choices,
                "select": merged.scores,
                "measured": started.measured(),
            },
        )
