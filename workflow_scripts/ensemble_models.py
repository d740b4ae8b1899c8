"""Ensemble fine-tuned models of different seeds by the mean of their logits."""

from graft.compute import hardware
from graft.encoders.inference import pass_flops, run
from graft.flops.counts import classifier_flops
from graft.merging.composite import manifest
from graft.merging.loading import load
from graft.registry.shapes import Shape
from graft.study import runs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.ensemble_models import EnsembleModels
from graft.tasks import metrics


def make(step: EnsembleModels, grid: Grid, paths: Paths) -> None:
    started = hardware.Stopwatch(grid.study.launch)
    system, row = step.spec(grid), grid.row(step.task)
    flops, members = {}, {}
    for member in step.members(grid):
        folder, made = runs.finished(grid, paths, member)
        flops |= made["train_flops_parts"]
        members[f"seed-{member.seed}"] = folder / "model"
    out = step.output(paths).with_name("model")
    manifest.write(out, "ensemble", members)
    tokens = runs.tokens(grid, paths, step.task, system.model, "select")
    max_tokens, device = grid.max_tokens(step.task, system.model), hardware.device_of(grid.study.launch)
    logits = run(load(out).to(device).logits, tokens, max_tokens, device=device)
    shape = Shape.of(runs.model_folder(grid, paths, system.model))
    on_select = pass_flops(lambda t: classifier_flops(shape, t, row.outputs), tokens, max_tokens)
    flops[f"{step.name}/select"] = len(members) * on_select
    score = metrics.primary(logits, runs.labels(paths, step.task, "select"), row)
    runs.save_system(
        grid,
        paths,
        step,
        started,
        flops=flops,
        hyperparameters={"members": list(members)},
        choices=[],
        score=score,
    )
