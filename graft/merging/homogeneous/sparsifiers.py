"""Sparsify a model's change before it is merged with others: `sparsifier` of the methods in `arithmetic`."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graft.merging.homogeneous.formats import Array
from graft.merging.homogeneous.magnitudes import DIGITS, digits, kth_largest
from graft.merging.homogeneous.masks import RANGE, draws
from graft.merging.homogeneous.models import Block, Models
from graft.merging.homogeneous.protocol import Each


class Dense:
    """All of the change: no sparsifier. Also what others are built on."""

    def __init__(self, options: Any) -> None:
        self.options = options

    def survey(self, models: Models, each: Each) -> Any:
        """See `protocol.Method.survey`."""

    def measure(self, models: Models, name: str, survey: Any) -> Any:
        """See `protocol.Method.measure`."""
        return survey

    def sparse(self, block: Block, model: int, measured: Any) -> Array:
        """The sparsified change of one model in this block. [rows, columns]"""
        return block.deltas[model]


class Trim(Dense):
    """TIES' first step: the share `density` of the change that is largest in magnitude, the rest 0.

    scope "model" is the paper's: the largest of the whole model (Yadav et al. 2023, arXiv 2306.01708, and
    `topk_values_mask` of its code, which flattens the model); "tensor" is mergekit's: the largest of each tensor.
    floor(density n) are kept, 1 at least, and with the smallest of them all that are as large.
    """

    def survey(self, models: Models, each: Each) -> list[float] | None:
        return (
            self._smallest(models, models.names, each)
            if self.options.scope == "model" and self.options.density < 1
            else None
        )

    def measure(self, models: Models, name: str, survey: list[float] | None) -> list[float]:
        if self.options.density >= 1:
            return [0.0] * len(models.tuned)
        return survey if survey is not None else self._smallest(models, [name], map)

    def _smallest(self, models: Models, names: Sequence[str], each: Each) -> list[float]:
        """The smallest magnitude that is kept, for each model."""
        rank = max(1, int(self.options.density * _elements(models, names)))
        return [_magnitudes(models, model, names, each, [rank])[0] for model in range(len(models.tuned))]

    def sparse(self, block: Block, model: int, measured: list[float]) -> Array:
        delta = block.deltas[model]
        delta *= np.abs(delta) >= measured[model]
        return delta


class Middle(Dense):
    """Breadcrumbs' mask: without the share `outliers` of each tensor's change that is largest in magnitude, and without
    the smallest, so that the share `density` is left.

    Source: Davari & Belilovsky 2023, Model Breadcrumbs, arXiv 2312.06795, a mask for each layer. (Their code
    ranks within rows; mergekit within tensors, as here.) floor(share n) are meant; equal magnitudes share their fate.
    """

    def measure(self, models: Models, name: str, survey: None) -> list[tuple[float, float]]:
        """The smallest magnitude that is kept and the smallest one above it that is not, for each model."""
        count = _elements(models, [name])
        dropped, kept = int(self.options.outliers * count), int(self.options.density * count)
        ranks = [min(count, max(1, dropped + kept)), max(1, dropped)]
        if self.options.density >= 1 or count == 0:
            return [(0.0, np.inf)] * len(models.tuned)
        limits = []
        for model in range(len(models.tuned)):
            low, high = _magnitudes(models, model, [name], map, ranks)
            limits.append((low, high if dropped else np.inf))
        return limits

    def sparse(self, block: Block, model: int, measured: list[tuple[float, float]]) -> Array:
        delta, (low, high) = block.deltas[model], measured[model]
        size = np.abs(delta)
        delta *= (size >= low) & (size < high)
        return delta


class Drop(Dense):
    """DARE: each element is dropped with probability p = 1 - density, and what is left divided by 1 - p, so that the
    change stays the same in expectation.

    Source: Yu et al. 2023, Language Models are Super Mario, arXiv 2311.03099. mergekit (0.1) rescales each
    tensor to the sum of magnitudes that it had instead; that is not done here.
    """

    def sparse(self, block: Block, model: int, measured: None) -> Array:
        delta = block.deltas[model]
        if self.options.density < 1:
            drawn = draws(self.options.seed, block.name, model, block.start, delta.size).reshape(delta.shape)
            delta *= drawn < round(self.options.density * RANGE)
            delta *= 1 / self.options.density
        return delta


class MagPrune(Dense):
    """DELLA's MagPrune: elements are dropped at random, the larger ones of a row less often, and what is left is
    divided by the probability with which it is kept.

    In a row of n elements, that of rank r by magnitude (0 the smallest) is kept with probability
    density - epsilon / 2 + epsilon r / (n - 1). Source: Deep et al. 2024, DELLA-Merging, arXiv 2406.11617
    (p_i = p_min + Delta_i, p_min = p - epsilon / 2). In mergekit the window is twice as wide for the same epsilon, and
    tensors are rescaled to their sum of magnitudes; here as in the paper.
    """

    def sparse(self, block: Block, model: int, measured: None) -> Array:
        delta = block.deltas[model]
        if self.options.density >= 1:
            return delta
        rows, columns = delta.shape
        ranks = np.empty((rows, columns), np.float32)
        order = np.abs(delta).argsort(axis=1, kind="stable")
        steps = np.linspace(0, 1, columns, dtype=np.float32) if columns > 1 else np.float32([0.5])
        np.put_along_axis(ranks, order, np.broadcast_to(steps, delta.shape), axis=1)
        kept = self.options.density - self.options.epsilon / 2 + self.options.epsilon * ranks
        drawn = draws(self.options.seed, block.name, model, block.start, delta.size).reshape(delta.shape)
        delta *= drawn < kept.astype(np.float64) * RANGE
        delta /= kept
        return delta


def _elements(models: Models, names: Iterable[str]) -> int:
    return sum(models.origin.tensors[name].count for name in names)


def _magnitudes(models: Models, model: int, names: Sequence[str], each: Each, ranks: Sequence[int]) -> list[float]:
    """Magnitudes of these ranks (1: the largest) among one model's changes of some tensors."""
    if not _elements(models, names):
        return [0.0] * len(ranks)
    alone = replace(models, tuned=(models.tuned[model],), weights=(1.0,))
    dtype = np.float64 if any(alone.dtype(name) is np.float64 for name in names) else np.float32

    def count(shift: int, prefix: int) -> Array:
        def of(name: str) -> Array:
            changes = (block.deltas[0].astype(dtype, copy=False) for block in alone.blocks(name))
            return sum((digits(change, shift, prefix) for change in changes), np.zeros(DIGITS, np.int64))

        return sum(each(of, names), np.zeros(DIGITS, np.int64))

    return kth_largest(count, ranks, dtype)
