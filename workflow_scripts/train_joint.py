"""Fine-tune one encoder on all tasks together with one seed; the best epoch on their `select` is kept."""

import shutil

from safetensors.torch import save_file

from graft.compute import hardware
from graft.io import files, locks
from graft.making import joint
from graft.study import program
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.train_joint import TrainJoint


def make(step: TrainJoint, grid: Grid, paths: Paths) -> None:
    started = hardware.Stopwatch(grid.study.launch)
    out, checkpoints = step.output(paths).parent, paths.checkpoints(step.fingerprint(grid))
    locks.hold(checkpoints / ".lock", f"{step.system} with seed {step.seed}", "job")
    log = out.with_name(f"{out.name}.jsonl")
    with program.progress(step.system) as report:
        tensors, found = joint.train(grid, paths, step, log, report)
    with files.atomic_folder(out) as folder:
        save_file(tensors, folder / "model.safetensors")
        log.rename(folder / "training.jsonl")
        record = {"fingerprint": step.fingerprint(grid), **found, "measured": started.measured()}
        files.write_json(folder / "manifest.json", record)
    shutil.rmtree(checkpoints)
