"""The parts of one merge of a study, read on first use.

Connects merge methods, which know nothing of studies, to paths, splits and the search on `select`.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from graft.encoders import features
from graft.encoders.inference import Batch, batches, first_texts, pass_flops
from graft.encoders.models import load_classifier, load_encoder, projections_of
from graft.flops.counts import encoder_flops
from graft.making.splits import Splits
from graft.merging.calibration import check_tokens
from graft.merging.facts import TwoShapes
from graft.merging.moments import Filed
from graft.merging.protocol import Parts, deepened
from graft.merging.saving import split_classifier
from graft.merging.selection import Choice
from graft.merging.task_vectors import finetuned_with
from graft.registry import depth
from graft.registry.shapes import Shape
from graft.study import runs
from graft.study.grid import ALL_SEEDS, Grid
from graft.study.grid_systems import Merge, System
from graft.study.paths import Paths
from graft.study.steps.calibrate import Calibrate
from graft.study.steps.embed_task import EmbedTask
from graft.study.steps.making import making
from graft.study.steps.step import Step
from graft.tasks import metrics
from graft.tasks.spans import PairedSplit
from graft.tasks.tokens import TokenisedSplit
from graft.tasks.vocabularies import Reader, shared_rows

Options = TypeVar("Options", bound=TwoShapes)


@dataclass(frozen=True)
class Built:
    """A chosen and saved merge: the record of the search and the name of what it varied, the parts of its training
    FLOPs, hyperparameters and diagnostics."""

    choice: Choice
    flops: dict[str, int]
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    diagnostics: dict[str, float] = field(default_factory=dict)
    searched: str = "strength"
    nominal: dict[str, int] = field(default_factory=dict)
    """Those of the parts that were packed, with padding."""


class PairInputs:
    """The parts of one merge of a study, read on first use.

    Merges truncate texts to the large model's `max_tokens` for both models, so that both see the same tokens, or as
    many where their vocabularies differ.
    """

    def __init__(
        self, grid: Grid, paths: Paths, task: str, pair: str, seed: int | str, device: str, splits: Splits | None = None
    ) -> None:
        self.grid, self.paths, self.task, self.seed, self.device = grid, paths, task, seed, device
        self.splits = splits or Splits(grid, paths, task, seed)
        self.pair = grid.pair(pair)
        self.row = grid.row(task)
        self.max_tokens = grid.max_tokens(task, self.pair.large)
        models = self.pair.large, self.pair.small
        self.large_folder, self.small_folder = (runs.model_folder(grid, paths, model) for model in models)
        self.large_shape, self.small_shape = Shape.of(self.large_folder), Shape.of(self.small_folder)
        self.finetuned = f"finetune.{self.pair.small}"

    def system(self, name: str, seed: int | str) -> tuple[Path, dict[str, int]]:
        """Model folder of a finished system on this task, and the parts of its training FLOPs."""
        folder, made = self.finished(making(self.grid, self.task, name, seed))
        return folder / "model", made["train_flops_parts"]

    @property
    def of_probes(self) -> int | str:
        """Seed of the probes that a merge builds on: with few labels they differ by seed."""
        return self.seed if self.splits.rows else ALL_SEEDS

    def tuned(self, merge: str) -> tuple[Path, dict[str, int]]:
        """As `system`: the fine-tuned small model that a merge carries over, which may be another task's."""
        task = self.grid.tuned_on(self.task, merge)
        folder, made = self.finished(making(self.grid, task, self.finetuned, self.seed))
        return folder / "model", made["train_flops_parts"]

    def strength_of(self, merge: str) -> tuple[float, dict[str, int]]:
        """The strength that a finished merge chose, and the parts of its FLOPs."""
        _, made = self.finished(making(self.grid, self.task, merge, self.seed))
        chosen = (choice["chosen"] for choice in made["choices"] if choice["name"] == "strength")
        return next(chosen, 0.0), made["train_flops_parts"]  # 0 alone is no choice

    def finished(self, step: Step) -> tuple[Path, dict[str, Any]]:
        """Folder of a finished step, and its manifest."""
        return runs.finished(self.grid, self.paths, step)

    def calibration(self, depth: str) -> tuple[Path, dict[str, Any]]:
        """File of the moments that `calibrate` wrote for a depth map, and its manifest."""
        folder, made = self.finished(Calibrate(self.task, self.pair.name, depth))
        return folder / "statistics.safetensors", made

    def calibration_flops(self, depth: str) -> dict[str, int]:
        """Parts of the FLOPs of a calibration; only the depth map `cka` counts those of layer similarity."""
        parts = self.calibration(depth)[1]["train_flops_parts"]
        return {part: count for part, count in parts.items() if depth == "cka" or not part.endswith("/similarity")}

    def tokens(self, split: str, role: str = "large") -> TokenisedSplit:
        """A split in the tokens of the large or of the small model."""
        return self.splits.tokens(getattr(self.pair, role), split)

    def both(self, split: str) -> TokenisedSplit | PairedSplit:
        """A split for systems that run both models."""
        return runs.paired(self.grid, self.pair, lambda model, located: self.splits.tokens(model, split, located))

    @functools.cached_property
    def frozen(self) -> dict[str, np.ndarray]:
        """Pooled states of the untouched large model on train and select, from `embed_task`."""
        folder, _ = self.finished(EmbedTask(self.task, self.pair.large))
        return self.splits.taken(features.load_states(folder))

    @property
    def embedding(self) -> str:
        """Prefix of the names of these states' FLOPs."""
        return f"embed.{self.pair.large}/{self.splits.place}"

    @functools.cached_property
    def select_labels(self) -> np.ndarray:
        return self.splits.labels("select")

    def fit_rows(self, count: int) -> np.ndarray:
        return features.fit_rows(len(self.tokens("train")), count)

    def score(self, logits: Tensor | np.ndarray) -> float:
        """Score logits [rows, c] by the primary metric on `select`."""
        return metrics.primary(np.asarray(logits), self.select_labels, self.row)

    def name(self, system: System) -> str:
        """Name of a system's run, which parts of its FLOPs begin with."""
        return f"{system.name}/{self.task}/seed-{self.seed}"

    def merge(self, system: System) -> Merge:
        """The merge of the study that makes a system."""
        assert system.merge is not None
        return self.grid.merges[system.merge]

    def options(self, system: System, kind: type[Options]) -> Options:
        """The options of the merge that makes a system, by a method of this class."""
        options = self.merge(system).options
        assert isinstance(options, kind)
        return options

    def parts(self, key: str) -> Parts:
        """Inputs of a merge, on the job's device: bodies, depth map, options and, if needed, moments and texts."""
        merge, moments = self.grid.merges[key], None
        name, layers = merge.options.depth, (self.small_shape.layers, self.large_shape.layers)
        if merge.depth:
            path, made = self.calibration(merge.depth)
            if merge.options.needs_many_tokens:
                check_tokens(made.get("spans", made["tokens"]), self.large_shape, "calibration.tokens")
            moments, depth_map = Filed(path), tuple((m, g) for m, g in made["depth_map"])
        else:
            depth_map = depth.named(name, *layers, ())
        pretrained = load_encoder(self.small_folder).state_dict()
        finetuned = split_classifier(load_classifier(self.tuned(key)[0]))[0]
        parts = Parts(
            large=load_encoder(self.large_folder).state_dict(),
            small_finetuned=finetuned_with(merge.change, pretrained, finetuned, self.seed),
            small_pretrained=pretrained,
            large_shape=self.large_shape,
            small_shape=self.small_shape,
            depth_map=depth_map,
            moments=moments,
            options=merge.options,
            texts=self.texts(merge),
            projections=projections_of(self.small_folder),
            rows=self.rows,
        )
        return deepened(parts).to(self.device)

    @property
    def rows(self) -> Tensor | None:
        """The small model's token for each of the large one's, -1 for none; None if the vocabularies are equal."""
        if not self.grid.two_vocabularies(self.pair):
            return None
        readers = (self.grid.study.tokenizer_of(model) for model in (self.pair.small, self.pair.large))
        return torch.from_numpy(shared_rows(*(Reader.of(self.paths.model(name)) for name in readers)))

    def texts(self, merge: Merge) -> list[Batch]:
        """Batches of the calibration texts, for methods that need them; empty for others."""
        if "texts" not in merge.options.needs:
            return []
        tokens = runs.calibration_tokens(self.grid, self.paths, self.task, self.pair)
        rows = first_texts(tokens, self.max_tokens, merge.options.text_tokens)
        return [batch for _, batch in batches(tokens, self.max_tokens, rows)]

    def passes(self, role: str, split: str, rows: np.ndarray | None = None, times: int = 1) -> int:
        """FLOPs of running the large or the small encoder over (rows of) a split."""
        shape = {"large": self.large_shape, "small": self.small_shape}[role]
        return times * self.flops_over(role, split, lambda t: encoder_flops(shape, t), rows)

    def flops_over(self, role: str, split: str, forward: Callable[[int], int], rows: np.ndarray | None = None) -> int:
        """FLOPs of a pass over (rows of) a split in a model's tokens, with `forward(tokens)` FLOPs per example."""
        return pass_flops(forward, self.tokens(split, role), self.max_tokens, rows)
