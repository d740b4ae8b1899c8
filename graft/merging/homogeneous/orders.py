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
    head_of: int | None = None
    """Number of the model, from 1, whose head and pooler the merged model has as they are."""
    no_head: bool = False
    """Whether to leave all heads out."""


@dataclass(frozen=True)
class Plan:
    """The effects of a merge, before anything is written.

    sources: by role, a folder and its weights files. averaged: tensors that the base lacks; tied: groups of tied
    tensors; left_out: tensors that some models have and the merged one does not; head: what the merged model
    has if heads are not merged.
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
    head: str | None = None

    @property
    def why_left_out(self) -> str:
        """Say why tensors are left out."""
        return "since not all models have it" if self.head is None else "heads, and what not all models have"

    @property
    def tensors(self) -> int:
        return sum(map(len, self.files))

    @property
    def parameters(self) -> int:
        return sum(math.prod(slot.shape) for file in self.files for slot in file)

    @property
    def bytes(self) -> int:
        return sum(slot.bytes for file in self.files for slot in file)
