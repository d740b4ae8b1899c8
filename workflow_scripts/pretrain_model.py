"""Pre-train a small model by masked language modelling on the unlabelled train texts of the study's tasks."""

from graft.compute import hardware
from graft.study import program, runs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.models import PretrainModel
from graft.tasks.texts import train_texts
from graft.training.masked_lm import pretrain_model
from graft.training.saving import write_manifest
from graft.training.unlabelled import Running


def make(step: PretrainModel, grid: Grid, paths: Paths) -> None:
    started = hardware.Stopwatch(grid.study.launch)
    launch = grid.study.launch
    source = grid.study.models[step.model].source
    texts = train_texts([paths.data(task) / "train.parquet" for task in grid.study.tasks])
    with program.progress(f"pretrain {step.model}") as report:

        def show(record: dict[str, float]) -> None:
            text = f"loss {record['loss']:.4f} {record['examples_per_second']:.0f} examples/s"
            report(int(record["step"]), source.options.steps, text)

        log = paths.logs / f"pretrain_model/{step.model}.jsonl"
        running = Running(hardware.device_of(launch), hardware.precision_of(launch), show, log)
        result = pretrain_model(
            runs.model_folder(grid, paths, source.like),
            texts,
            source.options,
            paths.model(step.model),
            source.seed,
            running,
        )
    facts = {"texts": len(texts), "pretraining_flops": result.flops, "curve": result.curve}
    write_manifest(paths.model(step.model), step.fingerprint(grid), source, launch, started, **facts)


if __name__ == "__main__":
    program.run_step(PretrainModel, __doc__)
