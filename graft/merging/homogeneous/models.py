"""Read the models of one merge side by side, a block of rows at a time."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from graft.merging.homogeneous.checkpoint import Checkpoint
from graft.merging.homogeneous.formats import Array, finite

# Elements of a block: small enough for a core's cache, large enough that Python's call overhead hardly matters.
BLOCK = 1 << 17


@dataclass(frozen=True)
class Block:
    """Whole rows of one tensor in all models, in float32, or float64 if any model stores it so.

    start: index of the first element in the tensor. origin: [rows, columns]. deltas: model - origin, per model.
    """

    name: str
    start: int
    origin: Array
    deltas: list[Array]

    @property
    def stop(self) -> int:
        return self.start + self.origin.size


@dataclass(frozen=True)
class Models:
    """The models to merge.

    origin: the model that changes are relative to: the base, or the first model if there is none. weights: one per
    tuned model. statistics: one checkpoint per tuned model, for methods that need them. ties: for a merged tensor, its
    copies. strength: factor of the change (lambda or alpha in the papers). device: where matrices are factorised, cpu
    or cuda. head: one model's head, which the merged model has as it is. Tensors that the origin lacks have no change.
    """

    origin: Checkpoint
    tuned: tuple[Checkpoint, ...]
    weights: tuple[float, ...]
    statistics: tuple[Checkpoint, ...] = ()
    ties: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    strength: float = 1.0
    device: str = "cpu"
    head: Checkpoint | None = None

    @property
    def without_change(self) -> Models | None:
        """The models restricted to tensors that the origin lacks, without a base; None if it lacks none."""
        lacking = {name: name for name in self.tuned[0].tensors if name not in self.origin.tensors}
        if not lacking:
            return None
        tuned = tuple(model.under(lacking) for model in self.tuned)
        return replace(self, origin=tuned[0], tuned=tuned, statistics=(), strength=1.0, head=None)

    @property
    def names(self) -> list[str]:
        """Names of the floating-point tensors, in the order of the origin's files."""
        return [name for name, info in self.origin.tensors.items() if info.floating]

    def dtype(self, name: str) -> type[np.generic]:
        """The compute dtype: float32, or float64 if any model stores the tensor so."""
        wide = any(model.tensors[name].dtype == "F64" for model in (self.origin, *self.tuned))
        return np.float64 if wide else np.float32

    def blocks(self, name: str, whole: bool = False) -> Iterator[Block]:
        """Yield a tensor's blocks from first row to last, or one block if `whole`.

        Raises ValueError if a value is not finite.
        """
        rows, columns = self.origin.tensors[name].matrix
        if rows * columns == 0:
            return
        dtype, step = self.dtype(name), rows if whole else max(1, BLOCK // columns)
        for row in range(0, rows, step):
            place = row * columns, min(row + step, rows) * columns
            origin = read(self.origin, name, *place, dtype)
            deltas = []
            for model in self.tuned:
                if model is self.origin:
                    deltas.append(np.zeros_like(origin))
                    continue
                values = read(model, name, *place, dtype)
                deltas.append(np.subtract(values, origin, out=values))
            yield Block(name, place[0], origin.reshape(-1, columns), [delta.reshape(-1, columns) for delta in deltas])


def read(checkpoint: Checkpoint, name: str, start: int, stop: int, dtype: type[np.generic] = np.float32) -> Array:
    """Like `Checkpoint.read`, but raises ValueError if a value is not finite."""
    values = checkpoint.read(name, start, stop, dtype)
    if not finite(values):
        raise ValueError(f"{checkpoint.name}: {name} holds values that are not finite; the model is damaged")
    return values


def in_order_of_content(models: Models) -> Models:
    """Sort the models by content alone.

    Neither the order of summation nor a model's random mask then depends on the order in which models are given. Two
    models are compared by the first tensor (by name) in which they differ, and equal ones by their weights.
    """

    def compare(one: int, other: int) -> int:
        a, b = models.tuned[one], models.tuned[other]
        for name in sorted(a.tensors):
            rows, columns = a.tensors[name].matrix
            for start in range(0, rows * columns, BLOCK):
                place = start, min(start + BLOCK, rows * columns)
                first, second = a.stored(name, *place).tobytes(), b.stored(name, *place).tobytes()
                if first != second:
                    return -1 if first < second else 1
        return (models.weights[one] > models.weights[other]) - (models.weights[one] < models.weights[other])

    order = sorted(range(len(models.tuned)), key=functools.cmp_to_key(compare))

    def picked(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[i] for i in order) if values else ()

    tuned = picked(models.tuned)
    first = models.origin is models.tuned[0]
    return replace(
        models,
        origin=tuned[0] if first else models.origin,
        tuned=tuned,
        weights=picked(models.weights),
        statistics=picked(models.statistics),
    )
