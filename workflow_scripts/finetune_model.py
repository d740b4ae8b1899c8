"""Fine-tune one model on one task with one seed; the best epoch on `select` is saved."""

import time

from graft import files, program, runs
from graft.encoders import new_classifier
from graft.training.finetuning import finetune


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--task", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--fingerprint", required=True)
    args = parser.parse_args()
    started = time.perf_counter()
    grid, paths = program.context(args)
    system = f"finetune.{args.model}"
    program.check_fingerprint(grid.made(args.task, system, args.seed), args.fingerprint, system)
    launch = grid.study.launch
    program.use_threads(launch.threads)
    row = grid.study.tasks[args.task].row(args.task)
    settings = grid.study.models[args.model].finetune[args.task]
    out = paths.run(args.task, system, args.seed)
    out.mkdir(parents=True, exist_ok=True)
    with program.progress(system) as progress:
        result = finetune(
            new_classifier(runs.model_folder(grid, paths, args.model), row.labels, args.seed),
            row,
            runs.labelled(grid, paths, args.task, args.model, "train"),
            runs.labelled(grid, paths, args.task, args.model, "select"),
            settings,
            args.seed,
            program.precision_of(launch),
            program.device_of(launch),
            out / "training.jsonl",
            progress,
        )
    with files.atomic_folder(out / "model") as folder:
        result.model.save_pretrained(folder)
        files.copy_into(paths.model(args.model), folder, files.TOKENIZER)
    runs.save_system(
        out,
        args,
        system=system,
        flops={f"{system}/{args.task}/seed-{args.seed}/{part}": n for part, n in result.flops.items()},
        pretraining_flops=runs.pretraining_flops(grid, paths, args.model),
        hyperparameters=result.effective,
        choices=[
            {
                "name": "epoch",
                "metric": row.primary_metric,
                "chosen": result.epochs[result.best]["epoch"],
                "searched": [{"value": e["epoch"], "score": e["select"]} for e in result.epochs],
            }
        ],
        select={"metric": row.primary_metric, "value": result.score},
        launch=grid.study.launch,
        started=started,
    )


if __name__ == "__main__":
    program.run(main)
