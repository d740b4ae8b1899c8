"""Make a small model from a large one on the unlabelled train texts of the study's tasks."""

import dataclasses

from graft.compute import hardware
from graft.registry.shapes import Shape
from graft.study import program
from graft.tasks.texts import train_texts
from graft.training.distil import distil_model
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
    teacher, out = paths.model(source.teacher), paths.model(args.model)
    shape = dataclasses.replace(Shape.of(teacher), **source.shape.model_dump())
    texts = train_texts([paths.data(task) / "train.parquet" for task in grid.study.tasks])
    with program.progress(f"distil {args.model}") as report:

        def show(record: dict[str, float]) -> None:
            text = f"loss {record['loss']:.4f} {record['examples_per_second']:.0f} examples/s"
            report(int(record["step"]), source.options.steps, text)

        result = distil_model(
            teacher,
            texts,
            shape,
            source.options,
            out,
            source.seed,
            precision=hardware.precision_of(launch),
            device=hardware.device_of(launch),
            progress=show,
            log_path=paths.logs / f"distil_model/{args.model}.jsonl",
        )
    facts = {"texts": len(texts), "pretraining_flops": result.flops, "curve": result.curve}
    write_manifest(out, args.fingerprint, source, launch, started, **facts)


if __name__ == "__main__":
    program.run(main)
