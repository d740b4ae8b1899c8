"""The order for a merge of models of one shape, and the plan made from it. Does not import torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graft.merging.homogeneous.protocol import Method
from graft.merging.homogeneous.shards import Slot


@dataclass(frozen=True)
class Order:
    """Models to merge, and how. None means the method's default."""

    method: str
    models: tuple[Path, ...]
    out: Path
    base: Path | None = None
    weights: tuple[float, ...] | None = None
    strength: float | None = None
    options: Mapping[str, Any] | None = None
    statistics: tuple[Path, ...] = ()
    device: str = "cpu"
    dtype: str | None = None
    max_shard_size: str = "5GB"


@dataclass(frozen=True)
class Plan:
    """The effects of a merge, before anything is written.

    sources: by role, a folder and its weights files. averaged: tensors that the base lacks; tied: groups of tied
    tensors; left_out: tensors that some models have and the merged one does not.
    """

    strength: float
    weights: tuple[float, ...]
    options: Method
    sources: dict[str, tuple[Path, tuple[Path, ...]]]
    files: list[list[Slot]]
    dtype: str | None
    device: str
    averaged: tuple[str, ...] = ()
    tied: tuple[tuple[str, ...], ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def tensors(self) -> int:
        return sum(map(len, self.files))

    @property
    def parameters(self) -> int:
        return sum(math.prod(slot.shape) for file in self.files for slot in file)

    @property
    def bytes(self) -> int:
        return sum(slot.bytes for file in self.files for slot in file)
