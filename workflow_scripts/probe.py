"""Fit a linear head in closed form on a frozen model's states; the ridge size is chosen on `select`."""

import torch

from graft.compute import hardware
from graft.encoders.features import load_states
from graft.encoders.inference import pass_flops
from graft.flops.counts import encoder_flops, ridge_flops
from graft.making.splits import splits_of
from graft.merging.classifier_heads import ridge
from graft.merging.classifier_heads.fitting import label_targets
from graft.merging.composite import manifest
from graft.merging.selection import Point, search
from graft.registry.shapes import Shape
from graft.study import runs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.probe import Probe
from graft.tasks import metrics


def make(step: Probe, grid: Grid, paths: Paths) -> None:
    launch = hardware.on_cpu(grid.study.launch)
    started, row, spec = hardware.Stopwatch(launch), grid.row(step.task), step.spec(grid)
    folder, embedding = runs.finished(grid, paths, step.states(grid))
    splits = splits_of(grid, paths, step.task, spec, step.seed)
    states = splits.taken(load_states(folder))
    train, select = (torch.from_numpy(states[f"{split}.{spec.pooling}"]).double() for split in ("train", "select"))
    labels = torch.tensor(splits.labels("train"))
    goal = label_targets(labels, None if row.labels is None else len(row.labels))
    sizes = step.ridge(grid)
    maps = ridge.fit(train, goal, sizes)
    select_labels = splits.labels("select")
    choice = search(
        [Point(0.0, size) for size in maps],
        lambda point: metrics.primary(maps[point.ridge](select).numpy(), select_labels, row),
    )
    encoder, head = runs.model_folder(grid, paths, spec.model), maps[choice.chosen.ridge]
    out = step.output(paths).with_name("model")
    manifest.write(out, "probe", {"encoder": encoder}, {manifest.HEAD: head}, pooling=spec.pooling)
    flops = dict(embedding["train_flops_parts"])
    if splits.rows:
        shape, longest = Shape.of(encoder), grid.max_tokens(step.task, spec.model)
        flops = {
            f"embed.{spec.model}/{splits.place}/{what}": pass_flops(
                lambda t: encoder_flops(shape, t), splits.tokens(spec.model, split), longest
            )
            for what, split in ((f"fit-{len(train)}", "train"), ("select", "select"))
        }
    flops[f"{step.prefix(grid)}/head"] = ridge_flops(*train.shape, row.outputs, len(sizes), scored=len(select))
    runs.save_system(
        grid,
        paths,
        step,
        started,
        flops=flops,
        hyperparameters={"pooling": spec.pooling, "ridge": list(sizes)},
        choices=choice.records(row.primary_metric),
        score=choice.score,
        launch=launch,
    )
