"""The merge methods, for plans, configs and reports. Imports no torch.

Each method has a room: a module of `graft.merging` with its facts, its options and its FLOPs, and its mathematics there
or beside it. No room imports torch; all are loaded when the first method is asked for.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from graft.io.names import meant
from graft.registry.alignments import EASY_RIDGE
from graft.registry.depth import DepthMap
from graft.registry.options import MergeOptions, Options
from graft.registry.shapes import Shape

# Modules of `graft.merging` with facts of one or several methods in METHODS, in the order of tables and docs.
ROOMS = (
    "heterogeneous.theseus",
    "heterogeneous.spacewise",
    "heterogeneous.functional",
    "heterogeneous.ot_fusion",
    "heterogeneous.grow",
    "heterogeneous.interpolate",
    "composite.logit_ensemble",
    "composite.proxy_tuning",
    "composite.concat_probe",
    "composite.stitch",
    "composite.side_tuning",
    "composite.ladder",
    "composite.calm",
    "homogeneous.averages",
    "homogeneous.slerp",
    "homogeneous.model_stock",
    "homogeneous.arithmetic",
    "homogeneous.fisher",
    "homogeneous.regmean",
    "homogeneous.iso_c",
    "homogeneous.tsv",
    "homogeneous.greedy",
)
# Kinds of methods for two shapes, which are kinds of systems too; of methods for one shape; and the greedy soup, which
# chooses among models by scores that only a study has.
KINDS = ("weights", "composite")
ONE_SHAPE, GREEDY = "one shape", "greedy"
HEADS = ("transplant", "label-free", "labelled")
# The small model's change that is merged, or its control (graft.merging.changes).
CHANGES = ("finetuned", "shuffled", "random")
# Inputs of methods; "layers": the large model's hidden states at the mapped layers, for all tokens of train and select.
NEEDS = ("small_finetuned", "small_pretrained", "large", "statistics", "texts", "layers", "probe.large", "probe.small")


class Cost(NamedTuple):
    """FLOPs of one `prepare` and of one `apply`, matrix products only."""

    prepare: int = 0
    apply: int = 0


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Properties of a merge method.

    implementation: "module:name", imported only when used.
    """

    name: str
    kind: str
    citation: str
    implementation: str
    options: type[Options] = Options


@dataclass(frozen=True, kw_only=True)
class TwoShapes(Facts):
    """Properties of a method that merges a small model into a large one.

    needs: inputs that it reads, from NEEDS.
    label_use: labels that the merge uses, apart from its head: "none", "select" or "train".
    heads: the heads to choose from; () if the method has no such option.
    inference: the models that run for each example.
    """

    options: type[MergeOptions] = MergeOptions
    needs: tuple[str, ...]
    label_use: str
    heads: tuple[str, ...] = ()
    inference: tuple[str, ...]

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown need or head."""
        for given, known in ((self.needs, NEEDS), (self.heads, HEADS)):
            if unknown := set(given) - set(known):
                raise ValueError(f"method {self.name!r}: {min(unknown)!r} is not one of {', '.join(known)}")


@dataclass(frozen=True, kw_only=True)
class Weights(TwoShapes):
    """Properties of a method that makes one model of the large shape.

    flops: function from the small shape, the large one, options and the number of tokens in the texts that it reads to
    the FLOPs of its two halves, without calibration and search.
    """

    kind: str = KINDS[0]
    label_use: str = "select"
    heads: tuple[str, ...] = HEADS
    inference: tuple[str, ...] = ("large",)
    flops: Callable[[Shape, Shape, Any, int], Cost]


@dataclass(frozen=True, kw_only=True)
class Composite(TwoShapes):
    """Properties of a method that runs parts of both models.

    making: function from `graft.merging.composite.flops.Making` to name, FLOPs and mode of each part of its making.
    linked: with trained weights, FLOPs of one example from shapes, depth map, tokens and outputs.
    answers: FLOPs of one example from shapes, options and tokens, for each of the forms that it may be made in; None if
    it runs the whole models that `inference` names.
    """

    kind: str = KINDS[1]
    label_use: str = "train"
    inference: tuple[str, ...] = ("small", "large")
    making: Callable[[Any], Iterable[tuple[str, int, str]]]
    linked: Callable[[Shape, Shape, DepthMap, int, int], Any] | None = None
    answers: Callable[[Shape, Shape, Any, int], list[int]] | None = None


@dataclass(frozen=True, kw_only=True)
class OneShape(Facts):
    """Properties of a method that merges models of one shape.

    strength: the published default of the factor that a change is multiplied by.
    base: whether a base model is required; if not, only strengths other than the default require one.
    weighted: whether models may have weights. models: the fewest and the most that it takes (None: no limit).
    statistics: the file that it reads for each model, or "".
    factoring: FLOPs of decompositions and least squares, from the shape, outputs and the number of models.
    """

    kind: str = ONE_SHAPE
    strength: float = 1.0
    base: bool = True
    weighted: bool = True
    models: tuple[int, int | None] = (1, None)
    statistics: str = ""
    factoring: Callable[[Shape, int | None, int], int] | None = None


@functools.cache
def table(*kinds: str) -> Mapping[str, Any]:
    """All methods of these kinds by name, or of all kinds; raises ValueError for a duplicate name."""
    found: dict[str, Facts] = {}
    for room in ROOMS:
        for method in importlib.import_module(f"graft.merging.{room}").METHODS:
            if method.name in found:
                raise ValueError(f"method {method.name!r} is registered twice; give the second another name")
            found[method.name] = method
    return MappingProxyType({name: method for name, method in found.items() if not kinds or method.kind in kinds})


def facts(name: str, *kinds: str) -> Any:
    """Return the method called `name` of these kinds, or of any; raises ValueError with the known names."""
    known = table(*kinds)
    if name in known:
        return known[name]
    if ONE_SHAPE in kinds:
        told = ", ".join(known) + meant(name, known)
        raise ValueError(f"no method for models of one shape is called {name!r}; known are {told}")
    raise ValueError(f"no merge method is called {name!r}; known are {', '.join(sorted(known))}{meant(name, known)}")


def implementation(name: str) -> Any:
    """Import and return the class or function that implements the method called `name`."""
    module, attribute = facts(name).implementation.split(":")
    return getattr(importlib.import_module(module), attribute)


def checked_options(name: str, given: Mapping[str, Any] | None) -> Any:
    """Return all options of the method called `name`: the given values, and defaults for the rest.

    Raises ValueError for an unknown option or a wrong value, in one sentence.
    """
    return facts(name).options.checked(f"method {name!r}", given)


def needs_calibration(name: str, options: MergeOptions) -> bool:
    """Whether a method with these options reads a calibration's statistics."""
    return "statistics" in facts(name).needs and options.evidence != "weights"


def needs_many_tokens(name: str, options: MergeOptions) -> bool:
    """Whether maps with these options are underdetermined if a calibration has fewer tokens than units.

    That is so for least squares with next to no ridge.
    """
    solved = options.alignment in ("least_squares", "whitened")
    return needs_calibration(name, options) and solved and options.map_ridge < EASY_RIDGE
