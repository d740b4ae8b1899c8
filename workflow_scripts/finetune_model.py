"""Fine-tune one model on one task with one seed; the best epoch on `select` is saved."""

import os
import shutil

from graft.compute import hardware
from graft.encoders.saving import save_model
from graft.io import files, locks
from graft.making.tuning import Tuning, tune
from graft.study import program, runs
from graft.study.grid_systems import TRIAL


def main(purpose: str = __doc__) -> None:
    args, grid, paths = program.of_system(purpose)
    started = hardware.Stopwatch(grid.study.launch)
    system = grid.systems[args.system]
    out, checkpoints = paths.run(args.task, args.system, args.seed), paths.checkpoints(args.fingerprint)
    out.mkdir(parents=True, exist_ok=True)
    writes = int(os.environ.get("RANK", 0)) == 0
    if writes:
        locks.hold(checkpoints / ".lock", f"{args.system} on {args.task} with seed {args.seed}", "job")
    tuning = Tuning(grid, paths, args.task, system, args.seed, out / "training.jsonl")
    with program.progress(args.system, writes) as report:
        tuned = tune(tuning, report)
    if not writes:
        return
    with files.atomic_folder(out / "model") as folder:
        # A trial's model is not saved: only its score is used.
        if system.kind != TRIAL:
            save_model(tuned.model, folder)
            files.copy_into(paths.model(system.model), folder, files.TOKENIZER)
    runs.save_system(
        out,
        args,
        system=args.system,
        flops=tuned.flops,
        pretraining_flops=runs.pretraining_flops(grid, paths, system.model) + tuned.pretraining_flops,
        hyperparameters=tuned.hyperparameters,
        choices=tuned.choices,
        select={"metric": tuning.row.primary_metric, "value": tuned.score},
        launch=grid.study.launch,
        started=started.after(tuned.earlier_seconds),
    )
    shutil.rmtree(checkpoints)


if __name__ == "__main__":
    program.run(main)
