"""Train and select as a system sees them: whole, or the few rows of select whose labels it has."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graft.compute import hardware
from graft.encoders.inference import Labelled, pass_flops, predict
from graft.flops.counts import classifier_flops
from graft.registry.shapes import Shape
from graft.study import runs
from graft.study.grid import Grid
from graft.study.grid_systems import System, budget_of
from graft.study.paths import Paths
from graft.study.steps.making import making
from graft.tasks.few_rows import few_rows
from graft.tasks.metrics import predictions
from graft.tasks.tokens import TokenisedSplit


@dataclass(frozen=True)
class Splits:
    """The rows and labels of `train` and `select` for systems of one task and seed that see the same labels.

    With few labels, both are parts of the study's `select`. Without any they are too, and their labels are the answers
    of the fine-tuned small model.
    """

    grid: Grid
    paths: Paths
    task: str
    seed: int | str
    labels_seen: int | None = None
    """As `System.labels`."""
    small: str = ""
    """The small model, where no labels are seen."""

    def tokens(self, model: str, split: str, located: bool = False) -> TokenisedSplit:
        """A split in token ids of the tokenizer a model uses, as `runs.tokens`."""
        if not self.rows:
            return runs.tokens(self.grid, self.paths, self.task, model, split, located)
        return runs.tokens(self.grid, self.paths, self.task, model, "select", located).taken(self.rows[split])

    def labels(self, split: str) -> np.ndarray:
        """Class ids or scores of a split. [rows]"""
        return self._known[self.rows[split]] if self.rows else runs.labels(self.paths, self.task, split)

    def labelled(self, model: str, split: str) -> Labelled:
        return Labelled(self.tokens(model, split), self.labels(split))

    def taken(self, states: Mapping[str, np.ndarray], train: str = "train") -> dict[str, np.ndarray]:
        """States `<split>.<name>` [rows, w] of these splits from those of the study's; `train`: its name there."""
        if not self.rows:
            return dict(states)
        of_select = {name.removeprefix("select."): of for name, of in states.items() if name.startswith("select.")}
        own = ((train, self.rows["train"]), ("select", self.rows["select"]))
        return {f"{split}.{name}": of[rows] for split, rows in own for name, of in of_select.items()}

    @property
    def place(self) -> str:
        """Task, and what else the names of FLOPs say that depend on these rows."""
        return f"{self.task}/{budget_of(self.labels_seen)}/seed-{self.seed}" if self.rows else self.task

    @functools.cached_property
    def rows(self) -> dict[str, np.ndarray]:
        """Rows of the study's `select` that are `train` and `select` here; empty if both are whole."""
        if self.labels_seen is None:
            return {}
        if not self.labels_seen:
            drawn = few_rows(self._known, int(self.seed))
        else:
            classes = self.grid.row(self.task).labels is not None
            drawn = few_rows(self._known, int(self.seed), self.labels_seen, classes)
        return dict(zip(("train", "select"), drawn, strict=True))

    @functools.cached_property
    def _known(self) -> np.ndarray:
        """Labels of the study's `select`, or the small model's answers. [rows]"""
        if self.labels_seen:
            return runs.labels(self.paths, self.task, "select")
        from graft.encoders.models import load_classifier  # transformers take seconds to import

        tokens, folder, longest = self._asked()
        model = load_classifier(folder).to(hardware.device_of(self.grid.study.launch))
        return predictions(predict(model, tokens, longest), self.grid.row(self.task))

    @functools.cached_property
    def flops(self) -> dict[str, int]:
        """FLOPs of the small model's answers, by name; empty where labels are known."""
        if self.labels_seen != 0:
            return {}
        tokens, folder, longest = self._asked()
        shape, outputs = Shape.of(folder), self.grid.row(self.task).outputs
        flops = pass_flops(lambda t: classifier_flops(shape, t, outputs), tokens, longest)
        return {f"answers.{self.small}/{self.task}/seed-{self.seed}": flops}

    def _asked(self) -> tuple[TokenisedSplit, Path, int]:
        """Texts that the fine-tuned small model answers, its folder, and its number of tokens."""
        tuned = making(self.grid, self.task, f"finetune.{self.small}", self.seed)
        folder, _ = runs.finished(self.grid, self.paths, tuned)
        tokens = runs.tokens(self.grid, self.paths, self.task, self.small, "select")
        return tokens, folder / "model", self.grid.max_tokens(self.task, self.small)


def splits_of(grid: Grid, paths: Paths, task: str, system: System, seed: int | str) -> Splits:
    """The splits that a system sees."""
    return Splits(grid, paths, task, seed, system.labels, system.pair.small if system.pair else "")
