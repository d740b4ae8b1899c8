"""Fit a linear head in closed form on a frozen model's states; the ridge size is chosen on `select`."""

import torch

from graft.compute import hardware
from graft.encoders.features import load_states
from graft.flops.counts import ridge_flops
from graft.merging.classifier_heads import ridge
from graft.merging.classifier_heads.fitting import label_targets
from graft.merging.composite import manifest
from graft.merging.selection import Point, search
from graft.study import runs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.probe import Probe
from graft.tasks import metrics


def make(step: Probe, grid: Grid, paths: Paths) -> None:
    launch = hardware.on_cpu(grid.study.launch)
    started, row, spec = hardware.Stopwatch(launch), grid.row(step.task), step.spec(grid)
    folder, embedding = runs.finished(grid, paths, step.states(grid))
    states = load_states(folder)
    train, select = (torch.from_numpy(states[f"{split}.{spec.pooling}"]).double() for split in ("train", "select"))
    labels = torch.from_numpy(runs.labels(paths, step.task, "train"))
    goal = label_targets(labels, None if row.labels is None else len(row.labels))
    sizes = grid.study.systems.probe.ridge
    maps = ridge.fit(train, goal, sizes)
    select_labels = runs.labels(paths, step.task, "select")
    choice = search(
        [Point(0.0, size) for size in maps],
        lambda point: metrics.primary(maps[point.ridge](select).numpy(), select_labels, row),
    )
    encoder, head = runs.model_folder(grid, paths, spec.model), maps[choice.chosen.ridge]
    out = step.output(paths).with_name("model")
    manifest.write(out, "probe", {"encoder": encoder}, {manifest.HEAD: head}, pooling=spec.pooling)
    fit = ridge_flops(*train.shape, row.outputs, len(sizes), scored=len(select))
    runs.save_system(
        grid,
        paths,
        step,
        started,
        flops={**embedding["train_flops_parts"], f"{step.system}/{step.task}/head": fit},
        hyperparameters={"pooling": spec.pooling, "ridge": list(sizes)},
        choices=choice.records(row.primary_metric),
        score=choice.score,
        launch=launch,
    )
