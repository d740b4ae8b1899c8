"""The interface of methods that merge models of one shape: a change of the origin, computed block by block."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from graft.merging.homogeneous.formats import Array
from graft.merging.homogeneous.models import Block, Models

# Like `map`, but possibly in several threads.
Each = Callable[[Callable[[str], Any], Iterable[str]], Iterable[Any]]


@dataclass(frozen=True)
class Settings:
    """Settings of a method.

    strength: factor of the change (lambda or alpha in the papers); options: from
    `methods.checked_options`; device: where matrices are factorised, cpu or cuda.
    """

    strength: float = 1.0
    options: Any = None
    device: str = "cpu"


class Method(ABC):
    """A merge method: a merged tensor is origin + change.

    Models that all equal the origin therefore give the origin exactly, as does a change of strength 0. Every block
    passes through `change` once; `survey` and `measure` compute beforehand what it needs.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def survey(self, models: Models, each: Each) -> Any:
        """Compute once what the method needs from all tensors together."""
        return None

    def whole(self, models: Models, name: str) -> bool:
        """Whether the method needs a tensor in one block."""
        return False

    def measure(self, models: Models, name: str, survey: Any) -> Any:
        """Compute what the method needs from one tensor before its blocks are merged."""
        return survey

    @abstractmethod
    def change(self, models: Models, block: Block, measured: Any) -> Array:
        """The merged block minus its origin, [rows, columns], strength included."""
