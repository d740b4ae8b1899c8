"""Fine-tune one model on one task with one seed; the best epoch on `select` is saved."""

import os
import shutil

from graft.compute import hardware
from graft.encoders.saving import save_model
from graft.io import files, locks
from graft.making.finetunings import Tuning, tune
from graft.study import program, runs
from graft.study.grid import Grid
from graft.study.grid_systems import TRIAL
from graft.study.paths import Paths
from graft.study.steps import finetune_model


def make(step: finetune_model.Tuning, grid: Grid, paths: Paths) -> None:
    started = hardware.Stopwatch(grid.study.launch)
    system, out = step.spec(grid), step.output(paths).parent
    checkpoints = paths.checkpoints(step.fingerprint(grid))
    out.mkdir(parents=True, exist_ok=True)
    writes = int(os.environ.get("RANK", 0)) == 0
    if writes:
        locks.hold(checkpoints / ".lock", f"{step.system} on {step.task} with seed {step.seed}", "job")
    tuning = Tuning(grid, paths, step.task, system, step.seed, out / "training.jsonl")
    with program.progress(step.system, writes) as report:
        tuned = tune(tuning, report)
    if not writes:
        return
    with files.atomic_folder(out / "model") as folder:
        # A trial's model is not saved: only its score is used.
        if system.kind != TRIAL:
            save_model(tuned.model, folder)
            files.copy_into(paths.model(system.model), folder, files.TOKENIZER)
    runs.save_system(
        grid,
        paths,
        step,
        started.after(tuned.earlier_seconds),
        flops=tuned.flops,
        nominal=tuned.nominal,
        hyperparameters=tuned.hyperparameters,
        choices=tuned.choices,
        score=tuned.score,
    )
    shutil.rmtree(checkpoints)


if __name__ == "__main__":
    program.run_job("finetune_model", __doc__)
