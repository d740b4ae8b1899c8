"""Pre-train a small model by masked language modelling on the unlabelled train texts of the study's tasks."""

from graft.compute import hardware
from graft.study import program, runs
from graft.tasks.texts import train_texts
from graft.training.masked_lm import pretrain_model
from graft.training.saving import write_manifest


def main() -> None:
    parser = program.parser(__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--fingerprint", required=True)
    args = parser.parse_args()
    grid, paths = program.context(args)
    started = hardware.Stopwatch(grid.study.launch)
    program.check_fingerprint(grid.model(args.model), args.fingerprint, args.model)
    launch = grid.study.launch
    hardware.use_threads(launch.threads)
    source = grid.study.models[args.model].source
    texts = train_texts([paths.data(task) / "train.parquet" for task in grid.study.tasks])
    with program.progress(f"pretrain {args.model}") as report:

        def show(record: dict[str, float]) -> None:
            text = f"loss {record['loss']:.4f} {record['examples_per_second']:.0f} examples/s"
            report(int(record["step"]), source.options.steps, text)

        result = pretrain_model(
            runs.model_folder(grid, paths, source.like),
            texts,
            source.options,
            paths.model(args.model),
            source.seed,
            precision=hardware.precision_of(launch),
            device=hardware.device_of(launch),
            progress=show,
            log_path=paths.logs / f"pretrain_model/{args.model}.jsonl",
        )
    facts = {"texts": len(texts), "pretraining_flops": result.flops, "curve": result.curve}
    write_manifest(result.folder, args.fingerprint, source, launch, started, **facts)


if __name__ == "__main__":
    program.run(main)
