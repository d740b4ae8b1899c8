"""Types and the base class shared by all parts of a study config. Imports no torch."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import CoreSchema, core_schema

from graft.io.names import checked_name, checked_repo
from graft.io.strict_yaml import number_of, quotient

Name = Annotated[str, AfterValidator(checked_name)]
# Every number has two bounds, the far one beyond any sensible value (tests/unit/config/test_section.py).
Positive = Annotated[int, Field(gt=0, le=1_000_000_000)]
Few = Annotated[int, Field(gt=0, le=1000)]
"""A number of things that are listed one by one: seeds, members, processes."""
Members = Annotated[int, Field(ge=2, le=1000)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Factor = Annotated[float, Field(ge=-1000, le=1000)]
Rate = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Quotient = Annotated[Fraction, BeforeValidator(quotient, json_schema_input_type=float | str)]
"""A fraction that may be written as `1/64`."""
Weight = Annotated[float, Field(ge=0, le=1000)]
Multiple = Annotated[float, Field(gt=0, le=1000)]
Tokens = Annotated[int, Field(ge=4, le=512)]
RidgeSizes = Annotated[tuple[Annotated[float, Field(ge=0, le=1e6)], ...], Field(min_length=1)]
FitRows = Annotated[int, Field(ge=2, le=1_000_000_000)]
# Names and commits of models and data sets on the hub.
Repo = Annotated[str, AfterValidator(checked_repo)]
Commit = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]
HeadName = Literal["transplant", "label-free", "labelled"]


def _guarded(schema: Any, own: bool = False) -> Any:
    """Add `_number` and `_text` to every number and text of a section's schema; nested sections have theirs already."""
    if isinstance(schema, list | tuple):
        return type(schema)(_guarded(part) for part in schema)
    if not isinstance(schema, dict):
        return schema
    match schema.get("type"):
        case "int" | "float":
            return core_schema.no_info_before_validator_function(_number, schema)
        case "str":
            return core_schema.no_info_after_validator_function(_text, schema)
        case "model" if not own:
            return schema
    return {key: _guarded(part, own) if key not in ("metadata", "default") else part for key, part in schema.items()}


def _number(value: Any) -> Any:
    """Return `value`, or the number it spells: inside brackets, `snakemake --config` gives everything as text."""
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is a boolean; a number is needed")
    return number_of(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("this text is empty; fill it in, or leave the key out")
    if not value.isprintable() and any(ord(character) < 32 or character == "\x7f" for character in value):
        raise ValueError(f"{value!r} contains an invisible character; remove it")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{value!r} is not valid Unicode; type it again") from None
    return value


class Section(BaseModel):
    """A part of the config: unknown keys are refused, and values never change after loading.

    Numbers are finite and never booleans; text is never empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> CoreSchema:
        # Done here rather than key by key, so that no key can be forgotten.
        return _guarded(handler(source), own=True)
