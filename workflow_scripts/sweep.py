"""Run a merged body at every strength over the fit rows and `select`, once for all of its heads."""

from graft.compute import hardware
from graft.encoders.features import save_states
from graft.io import files
from graft.making.merges import sweep
from graft.making.pair_inputs import PairInputs
from graft.study import program
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.sweep import Sweep


def make(step: Sweep, grid: Grid, paths: Paths) -> None:
    started = hardware.Stopwatch(grid.study.launch)
    inputs = PairInputs(grid, paths, step.task, step.pair, step.seed, hardware.device_of(grid.study.launch))
    with program.progress(f"sweep {step.merge}") as report:
        swept = sweep(inputs, step.merge, report)
    with files.atomic_folder(step.output(paths).parent) as folder:
        save_states(swept.states, folder / "states.safetensors")
        files.write_json(
            folder / "manifest.json",
            {
                "fingerprint": step.fingerprint(grid),
                "train_flops_parts": swept.flops,
                "diagnostics": swept.diagnostics,
                "measured": started.measured(),
            },
        )
