"""The interface of methods that merge models of one shape: a change of the origin, computed block by block."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from graft.merging.homogeneous.formats import Array
from graft.merging.homogeneous.models import Block, Models
from graft.registry.methods import ONE_SHAPE
from graft.registry.options import Options
from graft.registry.shapes import Shape

# Like `map`, but possibly in several threads.
Each = Callable[[Callable[[str], Any], Iterable[str]], Iterable[Any]]


class Method(Options, ABC):
    """A method that merges models of one shape: a merged tensor is origin + change.

    Models that all equal the origin therefore give the origin exactly, as does a change of strength 0. Every block
    passes through `change` once; `survey` and `measure` compute beforehand what it needs.

    strength: the published default of the factor that a change is multiplied by.
    base: whether a base model is required; if not, only strengths other than the default require one.
    weighted: whether models may have weights. models: the fewest and the most that it takes (None: no limit).
    statistics: the file that it reads for each model, or "".
    """

    kind = ONE_SHAPE
    strength: ClassVar[float] = 1.0
    base: ClassVar[bool] = True
    weighted: ClassVar[bool] = True
    models: ClassVar[tuple[int, int | None]] = (1, None)
    statistics: ClassVar[str] = ""

    @staticmethod
    def factoring(shape: Shape, outputs: int | None, models: int) -> int:
        """FLOPs of decompositions and least squares in a merge of a number of models; the rest are sums."""
        return 0

    def survey(self, models: Models, each: Each) -> Any:
        """Compute once what the method needs from all tensors together, whatever the strength."""
        return None

    def whole(self, models: Models, name: str) -> bool:
        """Whether the method needs a tensor in one block."""
        return False

    def measure(self, models: Models, name: str, survey: Any) -> Any:
        """Compute what the method needs from one tensor before its blocks are merged."""
        return survey

    @abstractmethod
    def change(self, models: Models, block: Block, measured: Any) -> Array:
        """The merged block minus its origin, [rows, columns], `models.strength` included."""
