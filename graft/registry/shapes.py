"""The numbers that define an encoder's architecture. Imports no torch, so that plans and costs need none."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graft.io.model_folders import read_config
from graft.registry import families
from graft.registry.families.family import Family


@dataclass(frozen=True)
class Shape:
    """Shape of an encoder: numbers of layers, units (width, ffn), heads, tokens (vocabulary, positions, types).

    `types` are kinds of tokens, 0 if the model has no embeddings for them; `epsilon` is LayerNorm's.
    """

    layers: int
    width: int
    heads: int
    ffn: int
    vocabulary: int
    positions: int = 512
    types: int = 2
    epsilon: float = 1e-12
    family: str = "bert"

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Shape":
        """Read a Hugging Face `config.json`; raises ValueError for an architecture that is not supported."""
        family = families.of_config(config)
        shape = cls(**family.numbers(config), family=family.name)
        if shape.heads < 1 or shape.width % shape.heads:
            width, heads = family.keys["width"], family.keys["heads"]
            raise ValueError(f"{width} {shape.width} is not divisible by {heads} {shape.heads}")
        return shape

    @classmethod
    def of(cls, folder: str | Path) -> "Shape":
        """Read the shape of the model saved in `folder`."""
        config = read_config(Path(folder))
        try:
            return cls.from_config(config)
        except ValueError as error:
            raise ValueError(f"{folder}: {error}") from error

    @property
    def kind(self) -> Family:
        """The family, with all that is known of it."""
        return families.FAMILIES[self.family]

    @property
    def config(self) -> dict[str, Any]:
        """The keys of a config for this shape, of the family's first model_type."""
        return {"model_type": next(iter(self.kind.types)), **self.kind.fixed, **self.kind.sizes(vars(self))}

    @property
    def body_parameters(self) -> int:
        """Number of parameters of embeddings, layers and pooler."""
        embeddings = (self.vocabulary + self.positions + self.types + 2) * self.width
        attention = 4 * (self.width * self.width + self.width) + 2 * self.width
        feed_forward = 2 * self.width * self.ffn + self.ffn + self.width + 2 * self.width
        pooler = self.width * self.width + self.width
        return embeddings + self.kind.buckets * self.heads + self.layers * (attention + feed_forward) + pooler


def check_shapes(teacher: Shape, student: Shape) -> None:
    """Raise ValueError, with the right value in its text, if a student of this shape cannot follow the teacher."""
    if student.layers < 1 or teacher.layers % student.layers:
        raise ValueError(f"distilled model has {student.layers} layers; must divide the teacher's {teacher.layers}")
    if student.heads != teacher.heads:
        raise ValueError(
            f"distilled model has {student.heads} heads, but matching attention needs the teacher's {teacher.heads}"
        )
    if student.width % student.heads:
        raise ValueError(f"distilled model is {student.width} wide, not a multiple of its {student.heads} heads")
    for name in ("width", "ffn", "positions"):
        if getattr(student, name) > getattr(teacher, name):
            raise ValueError(
                f"distilled model has {name} {getattr(student, name)}, above the teacher's {getattr(teacher, name)}"
            )
    for name in ("vocabulary", "types"):
        if getattr(student, name) != getattr(teacher, name):
            raise ValueError(
                f"distilled model has {name} {getattr(student, name)}, not the teacher's {getattr(teacher, name)}"
            )
