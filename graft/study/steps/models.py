"""Bring or make a pre-trained model: one step for each kind of source."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from graft.config.models import (
    DistilledModel,
    HubModel,
    MaskedModel,
    PackageModel,
    PathModel,
    PretrainingOptions,
    RandomModel,
)
from graft.encoders.batches import guessed_tokens, training_batches, unlabelled_window
from graft.encoders.local_models import model_files
from graft.flops import counts as count
from graft.io import files
from graft.registry.shapes import Shape
from graft.study.grid import Grid
from graft.study.sizes import Sizes
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.step import NUMBER, PRETRAINED, Step, Work, hash_of

# Bytes of the tokenizer's files beside every model, as measured with BERT's vocabulary.
TOKENIZER = 700_000
Source = TypeVar("Source")


@dataclass(frozen=True)
class _Model(Step):
    model: str

    made = "models/{model}/manifest.json"
    files = PRETRAINED

    def source(self, grid: Grid, kind: type[Source]) -> Source:
        """The source of the model in the config, which is of this kind."""
        source = grid.study.models[self.model].source
        assert isinstance(source, kind)
        return source

    def depends_on(self, grid: Grid) -> str:
        return f"models.{self.model}.source"

    def bytes(self, sizes: Sizes) -> int:
        return NUMBER * sizes.shape(self.model).body_parameters + TOKENIZER


class DownloadModel(_Model):
    """Bring a published model, or one of a local folder or package, and convert its weights."""

    rule = "download_model"
    local = True

    def inputs(self, grid: Grid) -> list[Step]:
        return []

    def hashed(self, grid: Grid) -> str:
        source = grid.study.models[self.model].source
        if isinstance(source, HubModel):
            return hash_of("model", source.model_dump())
        assert isinstance(source, PathModel | PackageModel)
        found = model_files(source, f"models.{self.model}.source")
        return hash_of("model", {path.name: files.sha256(path) for path in found})

    def depends_on(self, grid: Grid) -> str:
        return f"{super().depends_on(grid)} (local files by sha256)"


class InitialiseModel(_Model):
    """Draw the weights of an untrained control."""

    rule = "initialise_model"
    local = True

    def inputs(self, grid: Grid) -> list[Step]:
        return [weights(grid, self.source(grid, RandomModel).like)]

    def hashed(self, grid: Grid) -> str:
        source = self.source(grid, RandomModel)
        return hash_of("initialise", weights(grid, source.like).fingerprint(grid), source.seed)


class _Pretraining(_Model):
    """A step that trains on the texts of all tasks, without labels."""

    def _texts(self, grid: Grid) -> list[Step]:
        return [DownloadTask(task) for task in grid.study.tasks]

    def _launched(self, grid: Grid, like: str) -> list[object]:
        """Everything that the result depends on, apart from its own settings."""
        inputs = [weights(grid, like), *self._texts(grid)]
        return [*(step.fingerprint(grid) for step in inputs), grid.study.launch.of_one_process()]

    def depends_on(self, grid: Grid) -> str:
        return f"{super().depends_on(grid)}, launch, the train texts of all tasks"

    @property
    def part(self) -> str:
        """Name of its work."""
        return f"{self.rule.removesuffix('_model')}.{self.model}"


class DistilModel(_Pretraining):
    """Distil a small model from a large one."""

    rule = "distil_model"
    work_kind = "distillation"

    def inputs(self, grid: Grid) -> list[Step]:
        return [*self._texts(grid), weights(grid, self.source(grid, DistilledModel).teacher)]

    def hashed(self, grid: Grid) -> str:
        source = self.source(grid, DistilledModel)
        own = [source.shape.model_dump(), source.options.model_dump(), source.seed]
        return hash_of("distil", *own, *self._launched(grid, source.teacher))

    def work(self, sizes: Sizes) -> Iterator[Work]:
        source = self.source(sizes.grid, DistilledModel)
        options, teacher, student = source.options, sizes.shape(source.teacher), sizes.shape(self.model)
        lengths = _text_lengths(sizes, options, teacher)
        rng = np.random.default_rng(source.seed)
        some = rng.permutation(lengths)[: options.start_texts]
        window = unlabelled_window(len(some), options.batch_size)
        start = [(len(rows), int(some[rows].max())) for rows in training_batches(some, options.batch_size, rng, window)]
        trained = sum(
            len(rows) * count.distil_step_flops(teacher, student, int(lengths[rows].max()))
            for rows in batches_of_all_steps(lengths, options, rng)
        )
        started = count.distil_start_flops(student, teacher, start, options.start)
        yield Work(self.part, trained + started, "training")


class PretrainModel(_Pretraining):
    """Pre-train a control of a small model's shape by masked language modelling."""

    rule = "pretrain_model"
    work_kind = "pre-training"

    def inputs(self, grid: Grid) -> list[Step]:
        return [*self._texts(grid), weights(grid, self.source(grid, MaskedModel).like)]

    def hashed(self, grid: Grid) -> str:
        source = self.source(grid, MaskedModel)
        return hash_of("pretrain", source.options.model_dump(), source.seed, *self._launched(grid, source.like))

    def work(self, sizes: Sizes) -> Iterator[Work]:
        grid, source, shape = sizes.grid, self.source(sizes.grid, MaskedModel), sizes.shape(self.model)
        options, lengths = source.options, _text_lengths(sizes, source.options, shape)
        special = [np.full(len(sizes.task(t).tokens["train"]), 1 + len(grid.row(t).text)) for t in grid.study.tasks]
        guessed = guessed_tokens(lengths - np.concatenate(special), options.masked)
        flops = sum(
            count.masked_lm_flops(shape, len(rows), int(lengths[rows].max()), int(guessed[rows].sum()))
            for rows in batches_of_all_steps(lengths, options, np.random.default_rng(source.seed))
        )
        yield Work(self.part, flops, "training")


# By the kind of a model's source.
BY_SOURCE: dict[str, type[Step]] = {
    "hub": DownloadModel,
    "path": DownloadModel,
    "python_package": DownloadModel,
    "distilled": DistilModel,
    "random": InitialiseModel,
    "masked_lm": PretrainModel,
}


def weights(grid: Grid, model: str) -> Step:
    """The step that brings or makes a model."""
    return BY_SOURCE[grid.study.models[model].source.kind].of({"model": model})


def _text_lengths(sizes: Sizes, options: PretrainingOptions, shape: Shape) -> np.ndarray:
    """Tokens of all unlabelled texts after truncation for pre-training. [rows]"""
    longest = min(options.max_tokens, shape.positions)
    return np.concatenate([sizes.task(task).lengths("train", longest) for task in sizes.grid.study.tasks])


def batches_of_all_steps(
    lengths: np.ndarray, options: PretrainingOptions, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Row numbers of each optimizer step's batch, over as many epochs as needed."""
    window = unlabelled_window(len(lengths), options.batch_size)
    epochs = (training_batches(lengths, options.batch_size, rng, window) for _ in itertools.count())
    return itertools.islice(itertools.chain.from_iterable(epochs), options.steps)
