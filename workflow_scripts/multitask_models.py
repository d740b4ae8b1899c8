"""Combine the encoder merged for all tasks with the head of one task's own fine-tuning."""

from graft.compute import hardware
from graft.making.combining import multitask
from graft.study import program, runs


def main() -> None:
    args, grid, paths = program.of_system(__doc__)
    started = hardware.Stopwatch(grid.study.launch)
    system, row = grid.systems[args.system], grid.row(args.task)
    merged, tuned = (paths.encoder(args.system, args.seed), paths.run(args.task, f"finetune.{system.model}", args.seed))
    made = runs.read_made(merged / "manifest.json", grid.encoder(args.system, args.seed))
    runs.read_made(tuned / "build.json", grid.made(args.task, f"finetune.{system.model}", args.seed))
    out = paths.run(args.task, args.system, args.seed)
    pretrained = runs.model_folder(grid, paths, system.model)
    multitask.under_head(tuned / "model", merged, pretrained, row.labels, out / "model")
    runs.save_system(
        out,
        args,
        system=args.system,
        flops=made["train_flops_parts"],
        pretraining_flops=runs.pretraining_flops(grid, paths, system.model),
        hyperparameters=made["hyperparameters"],
        choices=made["choices"],
        select={"metric": row.primary_metric, "value": made["select"][args.task]},
        launch=grid.study.launch,
        started=started,
    )


if __name__ == "__main__":
    program.run(main)
