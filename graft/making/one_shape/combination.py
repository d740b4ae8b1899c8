"""Merge fine-tuned models of one shape in a study: the common part of soups and multitask encoders."""

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from graft.encoders.inference import pass_flops, predict
from graft.encoders.transformers import BertForSequenceClassification
from graft.flops.counts import classifier_flops
from graft.io import files
from graft.io.progress import Report
from graft.merging.homogeneous import card, folders
from graft.merging.homogeneous.checkpoint import WEIGHTS
from graft.merging.homogeneous.orders import Order, Plan
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

Merged = TypeVar("Merged")


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
        self.sources = [self._source(*one) for one in grid.merged(task, system, seed)]

    def _source(self, task: str, system: str, seed: int) -> Source:
        folder, made = runs.finished(self.grid, self.paths, FinetuneModel(task, system, seed))
        statistic, found, flops = statistic_of(self.system), None, dict(made["train_flops_parts"])
        if statistic:
            found, gathered = runs.finished(self.grid, self.paths, ModelStatistics(task, system, seed, statistic))
            flops |= gathered["train_flops_parts"]
        return Source(task, folder / "model", made, found and found / self.facts.statistics, flops)

    def score(self, task: str, model: BertForSequenceClassification) -> float:
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

    def merged(
        self,
        models: Sequence[Path],
        temporary: Path,
        strength: float,
        read: Callable[[Path], Merged],
        statistics: Sequence[Path] = (),
    ) -> tuple[Merged, Plan]:
        """Merge the model folders `models`, with the base in `temporary`, and read the result with `read`."""
        method = "uniform" if self.facts.kind == methods.GREEDY else self.facts.name
        # Without a base, merging identical models reproduces them bit for bit.
        needs_base = self.facts.base or (strength != 1 and method != "slerp")
        # The number of threads changes numpy's factorisations in the last digits.
        with scratch(temporary) as folder, threadpool_limits(self.grid.study.launch.threads):
            order = Order(
                method,
                tuple(models),
                folder / "merged",
                base=temporary / "base" if needs_base else None,
                weights=self.system.settings.weights,
                strength=strength,
                options=self.system.settings.options,
                statistics=tuple(statistics),
                device=self.device,
            )
            plan = folders.merge(order, lambda *_: None)
            return read(folder / "merged"), plan

    def best(
        self, made: Callable[[float], tuple[Merged, Plan]], score: Callable[[float, Merged], float]
    ) -> tuple[Choice, Merged, Plan]:
        """The strength whose merge scores best, and that merge."""
        strengths = self.settings["strengths"]
        # The strength tried last is often the one chosen.
        made = functools.lru_cache(maxsize=1)(made)

        def scored(point: Point) -> float:
            self.report(strengths.index(point.strength) + 1, len(strengths), f"strength {point.strength:g}")
            return score(point.strength, made(point.strength)[0])

        choice = search([Point(strength) for strength in strengths], scored)
        return choice, *made(choice.chosen.strength)

    def card(self, plan: Plan, sources: Sequence[Source], note: str = "") -> str:
        """Write the text of the merged model's card."""
        base = [("base", self.pretrained, self.pretrained / WEIGHTS)] if "base" in plan.sources else []
        # The card names the run folder, which includes the system's name; its model folders all have the same name.
        members = [
            (f"{one.task} {one.folder.parent.name}", one.folder.parent.parent, one.folder / WEIGHTS) for one in sources
        ]
        found = {
            role: {"folder": str(named), "sha256": {WEIGHTS: files.sha256(weights)}}
            for role, named, weights in [*base, *members]
        }
        config = {"architectures": ["BertForSequenceClassification"]}
        plan = replace(plan, options=self.facts.checked(self.system.settings.options))
        return card.text(plan, config, found, "the build.json beside this folder") + note


@contextlib.contextmanager
def scratch(beside: Path) -> Iterator[Path]:
    """Create a folder that is deleted when the block ends; leftovers of a killed job go at snakemake's next start."""
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside, prefix=".merging.", suffix=files.TEMPORARY) as folder:
        yield Path(folder)
