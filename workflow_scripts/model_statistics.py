"""Compute the statistics of one model for a merge of models of one shape: its Fisher diagonal or its Gram matrices."""

from graft.compute import hardware
from graft.encoders.features import fit_rows
from graft.encoders.inference import batches, pass_flops
from graft.encoders.models import load_classifier
from graft.flops.one_shape import statistic_flops
from graft.io import files
from graft.merging.homogeneous import fisher_gram
from graft.registry.shapes import Shape
from graft.study import program, runs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.model_statistics import ModelStatistics


def make(step: ModelStatistics, grid: Grid, paths: Paths) -> None:
    started = hardware.Stopwatch(grid.study.launch)
    device, model = hardware.device_of(grid.study.launch), step.model(grid)
    tuned, _ = runs.finished(grid, paths, step.tuned)
    tokens = runs.tokens(grid, paths, step.task, model, "train")
    max_tokens, outputs = grid.max_tokens(step.task, model), grid.row(step.task).outputs
    rows = fit_rows(len(tokens), grid.study.calibration.examples)
    read = (
        {name: tensor.to(device) for name, tensor in batch.items()} for _, batch in batches(tokens, max_tokens, rows)
    )
    found = fisher_gram.KINDS[step.statistic](load_classifier(tuned / "model").to(device), read)
    shape = Shape.of(tuned / "model")
    flops = pass_flops(lambda t: statistic_flops(step.statistic, shape, outputs, t), tokens, max_tokens, rows)
    with files.atomic_folder(step.output(paths).parent) as folder:
        fisher_gram.write(found, Shape.of(tuned / "model"), folder / f"{step.statistic}.safetensors")
        files.write_json(
            folder / "manifest.json",
            {
                "fingerprint": step.fingerprint(grid),
                "examples": len(rows),
                "train_flops_parts": {f"{step.statistic}.{step.system}/{step.task}/seed-{step.seed}": flops},
                "measured": started.measured(),
            },
        )


if __name__ == "__main__":
    program.run_step(ModelStatistics, __doc__)
