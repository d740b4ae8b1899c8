"""Sizes that the work and bytes of a study's steps follow from. Imports no torch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from graft.registry.shapes import Shape
from graft.study.grid import Grid

_Found = TypeVar("_Found")


class Unknown(ValueError):
    """A size is not known yet; the message says how it would become known."""


@dataclass(frozen=True)
class TaskSizes:
    """Tokens per row of train, select and report, with special tokens, before truncation; `source`: their origin."""

    tokens: Mapping[str, np.ndarray]
    source: str

    def lengths(self, split: str, max_tokens: int) -> np.ndarray:
        """Tokens per row after truncation. [rows]"""
        return np.minimum(self.tokens[split], max_tokens)


class Sizes:
    """The sizes of one study, found by `task` and `model` when asked for.

    Unknown ones raise Unknown, and the messages are collected in `unknown`. `packs`: whether fine-tunings of
    classifiers compute no padding.
    """

    def __init__(
        self, grid: Grid, task: Callable[[str], TaskSizes], model: Callable[[str], tuple[Shape, str]], packs: bool
    ) -> None:
        self.grid, self._task, self._model, self.packs = grid, task, model, packs
        self.unknown: dict[str, None] = {}

    @functools.cache  # noqa: B019 - one per plan
    def task(self, task: str) -> TaskSizes:
        return self._remembered(self._task, task)

    @functools.cache  # noqa: B019
    def shape_and_source(self, model: str) -> tuple[Shape, str]:
        return self._remembered(self._model, model)

    @functools.cache  # noqa: B019
    def seeing(self, labels: int | None) -> Sizes:
        """The sizes for systems with this number of labels (graft.making.splits), as if they had the first rows."""

        def task(name: str) -> TaskSizes:
            known = self.task(name)
            rows = known.tokens["select"][: labels or None]
            halves = dict(zip(("train", "select"), np.split(rows, [(len(rows) + 1) // 2]), strict=True))
            return TaskSizes({**known.tokens, **halves}, known.source)

        return self if labels is None else Sizes(self.grid, task, self._model, self.packs)

    def _remembered(self, find: Callable[[str], _Found], name: str) -> _Found:
        try:
            return find(name)
        except Unknown as error:
            self.unknown[str(error)] = None
            raise

    def shape(self, model: str) -> Shape:
        return self.shape_and_source(model)[0]

    def shapes(self, pair: str) -> tuple[Shape, Shape]:
        """Shapes of a pair's small and large model."""
        spec = self.grid.pair(pair)
        return self.shape(spec.small), self.shape(spec.large)

    def lengths(self, task: str, split: str, model: str) -> np.ndarray:
        """Tokens per row of a split, truncated for a model. [rows]"""
        return self.task(task).lengths(split, self.grid.max_tokens(task, model))
