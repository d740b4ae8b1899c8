"""What a method of merging models of one shape is: a change of the origin, computed block by block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graft.merging.homogeneous.formats import Array
from graft.merging.homogeneous.models import Block, Models

# Like `map`, from several threads at once.
Each = Callable[[Callable[[str], Any], Iterable[str]], Iterable[Any]]


@dataclass(frozen=True)
class Settings:
    """How a method is asked to merge. strength: factor of the change (lambda or alpha in the papers); options: those of
    `table.checked_options`; device: where matrices are factorised, cpu or cuda."""

    method: str
    strength: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"


class Method(ABC):
    """A merged tensor is origin + change.

    So models that are all equal to the origin give the origin exactly, and a change of strength 0 does. Every part of a
    model goes through `change` once; what a method must know before that it finds out in `survey` and `measure`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def survey(self, models: Models, each: Each) -> Any:
        """What must be known of all tensors together, once."""
        return None

    def whole(self, models: Models, name: str) -> bool:
        """Whether a tensor must come as one block."""
        return False

    def measure(self, models: Models, name: str, survey: Any) -> Any:
        """What must be known of one tensor before its blocks are merged."""
        return survey

    @abstractmethod
    def change(self, models: Models, block: Block, measured: Any) -> Array:
        """The merged block minus its origin, [rows, columns], strength included."""
