"""Fine-tune one model on one task with one seed; the best epoch on `select` is saved."""

from graft import files, program, runs
from graft.tuning import Tuning, tune


def main(purpose: str = __doc__) -> None:
    args, grid, paths = program.of_system(purpose)
    started = program.Stopwatch(grid.study.launch)
    system = grid.systems[args.system]
    out = paths.run(args.task, args.system, args.seed)
    out.mkdir(parents=True, exist_ok=True)
    tuning = Tuning(grid, paths, args.task, system, args.seed, out / "training.jsonl")
    with program.progress(args.system) as report:
        tuned = tune(tuning, report)
    with files.atomic_folder(out / "model") as folder:
        tuned.model.save_pretrained(folder)
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
        started=started,
    )


if __name__ == "__main__":
    program.run(main)
