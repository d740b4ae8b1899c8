"""Accounts: all computations that it takes to make a system, by name. Imports no torch.

Its training FLOPs are their sum: all compute from the published checkpoints to this one model, as if it were built
alone. What other runs of the study use too, such as a distillation or a calibration, is whole in it; in the shared sum
it counts by its share, divided by the number of runs that use it. Shared sums of all runs add up to each part once.
"""

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graft.encoders.batches import training_batches
from graft.flops.counts import classifier_flops, packed_flops
from graft.io import files
from graft.registry.shapes import Shape
from graft.study.grid import Grid, Run
from graft.study.grid_systems import System
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.evaluate import evaluation
from graft.study.steps.finetune_model import Tuning
from graft.study.steps.merge_models import MergeModels
from graft.study.steps.models import DistilModel, PretrainModel, weights
from graft.study.steps.step import Making
from graft.study.steps.tokenize_task import tokens
from graft.tasks.tokens import TokenisedSplit


@dataclass(frozen=True)
class Account:
    """FLOPs of making one system.

    `parts`: by a name that is unique in the study, as computed; `nominal`: their sum, had every batch been padded;
    `pretraining`: what of their sum distilled or pre-trained models in this study.
    """

    parts: dict[str, int]
    nominal: int
    pretraining: int

    @property
    def whole(self) -> int:
        return sum(self.parts.values())


def account(grid: Grid, paths: Paths, made: Making) -> Account:
    """The account of a finished system, from the records of what it was made of."""
    parts = dict(files.read_json(made.output(paths))["train_flops_parts"])
    nominal: dict[str, int] = {}
    for step in graph.with_inputs(grid, [made]):
        if isinstance(step, Making) and (step == made or any(name.startswith(f"{step.name}/") for name in parts)):
            built = files.read_json(step.output(paths))
            if isinstance(step, Tuning) and "nominal_flops_parts" not in built:
                built = _with_packing(grid, paths, step, built)
                parts |= {name: built["train_flops_parts"][name] for name in built["nominal_flops_parts"]}
            nominal |= built.get("nominal_flops_parts", {})
            parts |= _applied(grid, step, built) if isinstance(step, MergeModels) else {}
    pretraining = {}
    for step in (weights(grid, model) for model in _models(grid, made.spec(grid))):
        if isinstance(step, DistilModel | PretrainModel):
            pretraining[step.part] = files.read_json(step.output(paths))["pretraining_flops"]
    parts |= pretraining
    return Account(parts, sum((parts | nominal).values()), sum(pretraining.values()))


def uses(paths: Paths, runs: Iterable[Run]) -> Counter[str]:
    """How many of these runs, as far as they have finished, use each computation."""
    found = (evaluation(run).output(paths) for run in runs)
    return Counter(
        part for path in found if path.is_file() for part in files.read_json(path)["cost"]["train_flops_parts"]
    )


def shared(parts: Mapping[str, int], using: Mapping[str, int]) -> float:
    """Sum of a run's computations, each by its share: divided by the number of runs that use it."""
    return math.fsum(flops / max(using.get(name, 1), 1) for name, flops in parts.items())


def _models(grid: Grid, system: System) -> set[str]:
    """The pre-trained models whose weights or answers a system is made of."""
    found = {system.model} if system.model else {system.pair.large} if system.pair else set()
    if system.pair and not system.model and (system.merge or system.seeded):
        found.add(system.pair.small)
    return found | (_models(grid, grid.systems[system.parent]) if system.parent else set())


def _applied(grid: Grid, step: MergeModels, built: Mapping[str, Any]) -> dict[str, int]:
    """Applying the chosen strength once more, to save the merge, as far as that takes matrix products."""
    sweep, parts = step.sweep(grid), built["train_flops_parts"]
    chosen = next((choice for choice in built["choices"] if choice["name"] == "strength"), None)
    if not sweep or not chosen or chosen["chosen"] == 0:
        return {}
    once = parts[f"{sweep.name}/apply"] // len({point["value"] for point in chosen["searched"]} - {0})
    return {f"{step.name}/apply": once} if once else {}


def _with_packing(grid: Grid, paths: Paths, step: Tuning, built: dict[str, Any]) -> dict[str, Any]:
    """The build.json of a fine-tuning by an older version, which counted padding as if computed, as it would be now.

    Its batches are drawn again. Of a subset of train, or of several processes, they are others of the same lengths.
    """
    part, settings, spec = f"{step.name}/train", built["hyperparameters"], step.spec(grid)
    if not settings.get("packed"):
        return built | {"nominal_flops_parts": {}}
    shape, outputs = Shape.of(paths.model(spec.model)), grid.row(step.task).outputs
    split = TokenisedSplit.load(tokens(grid, step.task, spec.model).output(paths).parent, "train")
    lengths, rng = split.lengths(settings["max_tokens"]), np.random.default_rng(settings["seed"])
    epochs = (training_batches(lengths, settings["batch_size"], rng) for _ in itertools.count())
    packed = padded = 0
    for rows in itertools.islice(itertools.chain.from_iterable(epochs), settings["steps"]):
        packed += packed_flops(shape, lengths[rows], outputs)
        padded += len(rows) * classifier_flops(shape, int(lengths[rows].max()), outputs)
    counted = built["train_flops_parts"]
    computed = counted | {part: counted[part] * packed // padded}
    return built | {"train_flops_parts": computed, "nominal_flops_parts": {part: counted[part]}}
