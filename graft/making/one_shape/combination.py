"""Merge fine-tuned models of one shape in a study: the common part of soups and multitask encoders."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from graft.encoders.inference import pass_flops, predict
from graft.encoders.network import Classifier
from graft.flops.counts import classifier_flops
from graft.io import files
from graft.io.model_folders import read_config
from graft.io.progress import Report, silent
from graft.merging.homogeneous import card, engine, folders, layout
from graft.merging.homogeneous.checkpoint import WEIGHTS, Checkpoint
from graft.merging.homogeneous.layout import Layout
from graft.merging.homogeneous.models import Models
from graft.merging.homogeneous.orders import Plan
from graft.merging.homogeneous.shards import Target
from graft.merging.selection import Choice, Point, search
from graft.registry import methods
from graft.registry.shapes import Shape
from graft.study import runs
from graft.study.grid import Grid
from graft.study.grid_systems import System, one_shape_settings, statistic_of
from graft.study.paths import Paths
from graft.study.steps.finetune_model import FinetuneModel
from graft.study.steps.model_statistics import ModelStatistics
from graft.tasks import metrics


@dataclass(frozen=True)
class Source:
    """A fine-tuned model to merge: its task, folder, build.json, statistics file, and parts of its FLOPs."""

    task: str
    folder: Path
    made: dict[str, Any]
    statistics: Path | None
    flops: dict[str, int]


@dataclass(frozen=True)
class Combined:
    """Outcome of a merge: records of choices on `select`, a score per task, the parts of the FLOPs, and settings."""

    choices: list[dict[str, Any]]
    scores: dict[str, float]
    flops: dict[str, int]
    hyperparameters: dict[str, Any]


class Combination:
    """One soup or multitask system of a study: its source models, how they are merged, and how the result is scored."""

    def __init__(
        self, grid: Grid, paths: Paths, task: str, system: System, seed: int | str, device: str, report: Report
    ) -> None:
        """`task`: the task of a soup; "" for a multitask encoder."""
        self.grid, self.paths, self.task, self.system = grid, paths, task, system
        self.device, self.report = device, report
        self.name = "/".join(part for part in (system.name, task, f"seed-{seed}") if part)
        assert system.model is not None and system.method is not None
        self.settings, self.model = one_shape_settings(system), system.model
        self.facts = methods.facts(system.method)
        self.pretrained = runs.model_folder(grid, paths, self.model)
        self.shape = Shape.of(self.pretrained)
        self.model_type = next(iter(self.shape.kind.types))
        self.sources = [self._source(*one) for one in grid.merged(task, system, seed)]

    def _source(self, task: str, system: str, seed: int) -> Source:
        folder, made = runs.finished(self.grid, self.paths, FinetuneModel(task, system, seed))
        statistic, found, flops = statistic_of(self.system), None, dict(made["train_flops_parts"])
        if statistic:
            found, gathered = runs.finished(self.grid, self.paths, ModelStatistics(task, system, seed, statistic))
            flops |= gathered["train_flops_parts"]
        return Source(task, folder / "model", made, found and found / self.facts.statistics, flops)

    def score(self, task: str, model: Classifier) -> float:
        """Score a classifier by the primary metric on a task's `select`."""
        logits = predict(model.to(self.device), *self._select(task))
        row = self.grid.row(task)
        return metrics.primary(logits, runs.labels(self.paths, task, "select"), row)

    def select_flops(self, task: str) -> int:
        """FLOPs of one pass of a classifier over a task's `select`."""
        forward = functools.partial(classifier_flops, self.shape, outputs=self.outputs(task))
        return pass_flops(forward, *self._select(task))

    def _select(self, task: str) -> tuple[Any, int]:
        tokens = runs.tokens(self.grid, self.paths, task, self.model, "select")
        return tokens, self.grid.max_tokens(task, self.model)

    def sources_flops(self) -> dict[str, int]:
        """Parts of the FLOPs of all source models and their statistics."""
        return functools.reduce(dict.__or__, (source.flops for source in self.sources))

    def outputs(self, task: str) -> int:
        return self.grid.row(task).outputs

    @contextlib.contextmanager
    def merging(
        self, sources: Sequence[Source], base: Callable[[], Mapping[str, Tensor]], hidden: tuple[str, ...] = ()
    ) -> Iterator[Callable[[float], tuple[dict[str, Tensor], Plan]]]:
        """Open some sources, and yield the function that merges them at a strength, in memory.

        base: the tensors of the model that they were fine-tuned from, and hidden: prefixes of tensors that are not
        merged, by the names in files, as in the merge.
        """
        name = "uniform" if self.facts.kind == methods.GREEDY else self.facts.name
        method = methods.facts(name).checked(self.system.settings.options)
        weights = tuple(self.system.settings.weights or (1.0,) * len(sources))
        with contextlib.ExitStack() as stack:

            def opened(file: Path) -> Checkpoint:
                return stack.enter_context(Checkpoint(str(file), [file])).without(hidden)

            tuned = [opened(source.folder / WEIGHTS) for source in sources]
            statistics = [opened(source.statistics) for source in sources if source.statistics]
            pool = stack.enter_context(ThreadPoolExecutor(engine.workers()))

            @functools.cache
            def surveyed(based: bool) -> tuple[Layout, Models, Any]:
                arrays = {name: tensor.numpy() for name, tensor in base().items()} if based else {}
                origin = Checkpoint.of_arrays("base", arrays).without(hidden) if based else None
                laid = layout.of(origin, tuned, self.model_type, False, None)
                models = folders.side_by_side(method, laid, weights, statistics, self.model_type, 1.0, self.device)
                return laid, models, method.survey(models, pool.map)

            def merged(strength: float) -> tuple[dict[str, Tensor], Plan]:
                # Without a base, merging identical models reproduces them bit for bit.
                based = self.facts.base or (strength != 1 and name != "slerp")
                # The number of threads changes numpy's factorisations in the last digits.
                with threadpool_limits(self.grid.study.launch.threads):
                    laid, models, survey = surveyed(based)
                    with Target(laid.slots) as target:
                        engine.merge_all(method, replace(models, strength=strength), survey, target, pool, silent)
                places: dict[str, tuple[Path, tuple[Path, ...]]]
                places = {"base": (self.pretrained, (self.pretrained / WEIGHTS,))} if based else {}
                places |= {
                    # The card names the run folder, which includes the system's name.
                    f"{one.task} {one.folder.parent.name}": (one.folder.parent.parent, (one.folder / WEIGHTS,))
                    for one in sources
                }
                tied = tuple((first, *others) for first, others in sorted(laid.ties.items()))
                plan = Plan(
                    strength, weights, method, places, [], None, self.device, laid.averaged, tied, laid.left_out
                )
                return {name: torch.from_numpy(array) for name, array in target.arrays.items()}, plan

            yield merged

    def best(
        self,
        made: Callable[[float], tuple[dict[str, Tensor], Plan]],
        score: Callable[[float, dict[str, Tensor]], float],
    ) -> tuple[Choice, dict[str, Tensor], Plan]:
        """The strength whose merge scores best, and that merge."""
        strengths = self.settings["strengths"]
        # The strength tried last is often the one chosen.
        made = functools.lru_cache(maxsize=1)(made)

        def scored(point: Point) -> float:
            self.report(strengths.index(point.strength) + 1, len(strengths), f"strength {point.strength:g}")
            return score(point.strength, made(point.strength)[0])

        choice = search([Point(strength) for strength in strengths], scored)
        return choice, *made(choice.chosen.strength)

    def card(self, plan: Plan, note: str = "") -> str:
        """Write the text of the merged model's card."""
        found = {
            role: {"folder": str(folder), "sha256": {file.name: _sha256(file, file.stat().st_mtime_ns)}}
            for role, (folder, (file,)) in plan.sources.items()
        }
        config = read_config(self.sources[0].folder)
        plan = replace(plan, options=self.facts.checked(self.system.settings.options))
        return card.text(plan, config, found, "the build.json beside this folder") + note


@functools.cache
def _sha256(file: Path, changed: int) -> str:
    """Hash a source once, however many models of this process are merged from it."""
    return files.sha256(file)
