"""What every part of a study config is made of. Imports no torch."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


def checked_name(value: str) -> str:
    """`value`, if it may name a study, task, model or system; raises ValueError."""
    if not NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a name: names match {NAME.pattern}")
    return value


Name = Annotated[str, AfterValidator(checked_name)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[int, Field(gt=0)]
RidgeSizes = Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=1)]
FitRows = Annotated[int, Field(ge=2)]
HeadName = Literal["transplant", "label-free", "labelled"]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A part of the config: unknown keys are refused, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
