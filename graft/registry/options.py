"""Merge methods as frozen dataclasses: their attributes are facts, their fields options. Imports no torch.

A field is annotated with its type, which says what values are right, and with what it sets:
`epochs: Annotated[Count, "passes over train"] = 3`.
"""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Self,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from graft.io.names import meant, shown

FARTHEST = 1000  # largest absolute strength


class Bounds(NamedTuple):
    """Bounds of a number, the lower one in words, too."""

    words: str
    least: float
    most: float


Count = Annotated[int, Bounds("a whole number from 1 on", 1, 1_000_000_000)]
Few = Annotated[int, Bounds("a whole number from 1 on", 1, 1000)]
Seed = Annotated[int, Bounds("a whole number from 0 on", 0, 2**32 - 1)]
Size = Annotated[float, Bounds("a number from 0 on", 0, 1_000_000)]
Share = Annotated[float, Bounds("a number above 0", math.ulp(0.0), 1)]
Strengths = tuple[float, ...]  # 0 among them
Pooling = Literal["cls", "mean"]

# Options of several methods, with what they set.
Depth = Annotated[
    Literal["uniform", "spread", "cka", "extend", "midpoints"],
    "large layers that change: one for each small layer, evenly spread or by similarity (cka), or all: each small "
    "layer's change divided among its large ones (spread), or the small model first made as deep, by repeating its "
    "layers (extend) or with means of neighbours between them (midpoints)",
]
Evidence = Annotated[
    Literal["activations", "weights"], "what maps are fitted to: activations on text, or (without data) weights"
]
Epochs = Annotated[Few, "passes over train; the best one, or none at all, is kept by select"]
Rate = Annotated[Size, "peak of the learning rate, as a multiple of the small model's own"]


class Option(NamedTuple):
    """One option: its default, what it sets, its type, and the choices or bounds that a value must keep to."""

    default: Any
    help: str
    type: type
    choices: tuple[str, ...] = ()
    bounds: Bounds | None = None

    def checked(self, what: str, value: Any) -> Any:
        """Return the value as the option has it; raises ValueError, with the right values, if it is wrong."""
        if self.type is bool and not isinstance(value, bool):
            raise ValueError(f"{what} is {shown(value)}; it must be true or false")
        if self.bounds and not (_is_number(value, self.type) and self.bounds.least <= value <= self.bounds.most):
            raise ValueError(f"{what} is {shown(value)}; it must be {self.bounds.words}, {self.bounds.most:,} at most")
        if self.choices and value not in self.choices:
            raise ValueError(f"{what} is {shown(value)}; it must be one of {', '.join(self.choices)}")
        return _strengths(what, value) if self.type is tuple else value


@dataclass_transform(frozen_default=True)
@dataclass(frozen=True)
class Options:
    """A merge method: its class holds what is known of it, an instance the values of its options, which are fields.

    Every subclass is a frozen dataclass, undecorated.

    kind: one of `graft.registry.methods.KINDS`, ONE_SHAPE or GREEDY.
    citation: the paper, or "none: ..." or "ours: ...". departs: how this departs from the paper; "": not that we know.
    implementation: "module:name" of the mathematics, imported only when used.
    """

    name: ClassVar[str]
    kind: ClassVar[str]
    citation: ClassVar[str]
    departs: ClassVar[str]
    implementation: ClassVar[str]

    def __init_subclass__(cls) -> None:
        dataclass(frozen=True)(cls)

    @classmethod
    @functools.cache
    def known(cls) -> Mapping[str, Option]:
        """All options by name."""
        found, hints = {}, get_type_hints(cls, include_extras=True)
        for field in fields(cls):
            kind, *notes = get_args(hints[field.name])
            bounds = next((one for one in notes if isinstance(one, Bounds)), None)
            choices = get_args(kind) if get_origin(kind) is Literal else ()
            found[field.name] = Option(field.default, notes[-1], get_origin(kind) or kind, choices, bounds)
        return found

    @classmethod
    def checked(cls, given: Mapping[str, Any] | None) -> Self:
        """Return all options: the given values, and defaults for the rest.

        Raises ValueError for an unknown option or a wrong value, in one sentence.
        """
        who, known, given = f"method {cls.name!r}", cls.known(), given or {}
        for name in given:
            if name not in known:
                listed = (", ".join(sorted(known)) or "none") + meant(name, known)
                raise ValueError(f"{who} has no option {name!r}; available: {listed}")
        values = {name: given.get(name, option.default) for name, option in known.items()}
        checked = {name: known[name].checked(f"option {name!r} of {who}", value) for name, value in values.items()}
        options = cls(**checked)
        try:
            options.check()
        except ValueError as error:
            raise ValueError(f"{who}: {error}") from None
        return options

    def check(self) -> None:
        """Raise ValueError if values that are right by themselves contradict one another."""

    def values(self) -> dict[str, Any]:
        """All values by name, as JSON has them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}


def _strengths(what: str, value: Any) -> Strengths:
    if not isinstance(value, list | tuple) or not all(_is_number(v, float) and abs(v) <= FARTHEST for v in value):
        raise ValueError(f"{what} is {shown(value)}; it must be a list of numbers from -{FARTHEST} to {FARTHEST}")
    if 0 not in value:
        raise ValueError(f"{what} is {list(value)!r}; 0 must be among them, so that no merge at all can be chosen")
    return tuple(sorted({float(v) for v in value}))


def _is_number(value: Any, kind: type) -> bool:
    """Whether `value` is a number of this kind; the check of its bounds rejects NaN and infinity."""
    return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
