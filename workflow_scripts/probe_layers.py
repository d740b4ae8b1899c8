"""Fit linear heads in closed form on all layers of a frozen model, and keep the one that is best on `select`."""

from collections.abc import Iterator

import numpy as np
import torch

from graft.compute import hardware
from graft.encoders.features import layers_pooled
from graft.encoders.inference import pass_flops
from graft.encoders.models import load_encoder
from graft.flops.counts import encoder_flops, layers_probe_flops
from graft.making.splits import splits_of
from graft.merging.classifier_heads.fitting import label_targets
from graft.merging.classifier_heads.ridge import LinearMap, Moments
from graft.merging.composite import manifest
from graft.merging.selection import Point, search
from graft.registry import readouts
from graft.registry.readouts import State, States
from graft.registry.shapes import Shape
from graft.study import program, runs
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.probe_layers import ProbeLayers
from graft.tasks import metrics


def make(step: ProbeLayers, grid: Grid, paths: Paths) -> None:
    started, row, spec = hardware.Stopwatch(grid.study.launch), grid.row(step.task), step.spec(grid)
    name, splits = spec.model, splits_of(grid, paths, step.task, spec, step.seed)
    folder, max_tokens = runs.model_folder(grid, paths, name), grid.max_tokens(step.task, name)
    shape, device = Shape.of(folder), hardware.device_of(grid.study.launch)
    model, sizes = load_encoder(folder).to(device), step.ridge(grid)
    train, select = (splits.tokens(name, split) for split in ("train", "select"))
    train_labels, select_labels = (splits.labels(split) for split in ("train", "select"))
    goal = label_targets(torch.from_numpy(train_labels), None if row.labels is None else len(row.labels))
    blocks = readouts.blocks(shape.layers)
    moments = [Moments() for _ in blocks]
    flops = sum(pass_flops(lambda t: encoder_flops(shape, t), split, max_tokens) for split in (train, select))

    with program.progress(step.system) as report:
        total, done = len(train) + len(select), 0

        def batches(split) -> Iterator[tuple[np.ndarray, dict[State, torch.Tensor]]]:
            nonlocal done
            for rows, states in layers_pooled(model, split, max_tokens):
                yield rows, states
                done += len(rows)
                report(done, total)

        for rows, states in batches(train):
            for block, sums in zip(blocks, moments, strict=True):
                sums.add(_joined(states, block), goal[rows].to(device))
        # All candidates, each with its maps by ridge size.
        fitted: dict[States, dict[float, LinearMap]] = {
            block[part]: sums.maps(slice(part.start * shape.width, part.stop * shape.width), sizes)
            for block, sums in zip(blocks, moments, strict=True)
            for part in readouts.parts(block)
        }
        answers = {found: np.empty((len(sizes), len(select), row.outputs)) for found in fitted}
        for rows, states in batches(select):
            for found, maps in fitted.items():
                hidden = _joined(states, found).double()
                answers[found][:, rows] = torch.stack([map_(hidden) for map_ in maps.values()]).cpu().numpy()

    candidates = [*fitted]
    points = {Point(number, size): (found, k) for number, found in enumerate(fitted) for k, size in enumerate(sizes)}

    def score(point: Point) -> float:
        found, k = points[point]
        return metrics.primary(answers[found][k], select_labels, row)

    choice = search(points, score)
    chosen = candidates[int(choice.chosen.strength)]
    head, out = fitted[chosen][choice.chosen.ridge], step.output(paths).with_name("model")
    manifest.write(out, "layers_probe", {"encoder": folder}, {manifest.HEAD: head}, states=chosen)
    records = choice.records(row.primary_metric, "states")
    records[0]["chosen"] = readouts.name_of(chosen)
    for tried in records[0]["searched"]:
        tried["value"] = readouts.name_of(candidates[int(tried["value"])])
    inherited = dict(splits.flops)
    for given in step.answering(grid):
        inherited |= runs.finished(grid, paths, given)[1]["train_flops_parts"]
    fit = layers_probe_flops(shape, len(train), row.outputs, sizes, len(select))
    runs.save_system(
        grid,
        paths,
        step,
        started,
        flops=inherited | {f"{step.prefix(grid)}/states": flops, f"{step.prefix(grid)}/head": fit},
        hyperparameters={"pooling": "layers", "ridge": list(sizes)},
        choices=records,
        score=choice.score,
    )


def _joined(states: dict[State, torch.Tensor], wanted: States) -> torch.Tensor:
    return torch.cat([states[state] for state in wanted], dim=1)
