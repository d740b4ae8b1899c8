"""Make a small model from a large one on the unlabelled train texts of the study's tasks."""

import dataclasses

from graft.compute import hardware
from graft.registry.shapes import Shape
from graft.study import program
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.models import DistilModel
from graft.tasks.texts import train_texts
from graft.training.distil import distil_model
from graft.training.saving import write_manifest
from graft.training.unlabelled import Running


def make(step: DistilModel, grid: Grid, paths: Paths) -> None:
    started = hardware.Stopwatch(grid.study.launch)
    launch = grid.study.launch
    source = grid.study.models[step.model].source
    teacher, out = paths.model(source.teacher), paths.model(step.model)
    shape = dataclasses.replace(Shape.of(teacher), **source.shape.model_dump())
    texts = train_texts([paths.data(task) / "train.parquet" for task in grid.study.tasks])
    with program.progress(f"distil {step.model}") as report:

        def show(record: dict[str, float]) -> None:
            text = f"loss {record['loss']:.4f} {record['examples_per_second']:.0f} examples/s"
            report(int(record["step"]), source.options.steps, text)

        log = paths.logs / f"distil_model/{step.model}.jsonl"
        running = Running(hardware.device_of(launch), hardware.precision_of(launch), show, log)
        result = distil_model(
            teacher,
            texts,
            shape,
            source.options,
            out,
            source.seed,
            running,
        )
    facts = {"texts": len(texts), "pretraining_flops": result.flops, "curve": result.curve}
    write_manifest(out, step.fingerprint(grid), source, launch, started, **facts)


if __name__ == "__main__":
    program.run_step(DistilModel, __doc__)
