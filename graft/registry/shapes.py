"""The numbers that define an encoder's architecture. Imports no torch, so that plans and costs need none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from graft.io.model_folders import read_config
from graft.registry import families
from graft.registry.families.family import Family
from graft.registry.families.modernbert import LOCAL


@dataclass(frozen=True)
class Shape:
    """Shape of an encoder: numbers of layers, units (width, ffn), heads, tokens (vocabulary, positions, types).

    `types` are kinds of tokens, 0 if the model has no embeddings for them; `epsilon` is LayerNorm's; `details`: what
    else a family's config says that changes what is computed, by key.
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
    details: tuple[tuple[str, Any], ...] = ()

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
    def detail(self) -> dict[str, Any]:
        """The details, by key of the config."""
        return dict(self.details)

    @property
    def pooling(self) -> str:
        """State that a classifier reads: "cls", the first token's, or "mean", the mean of all."""
        return str(self.detail.get("classifier_pooling", "cls"))

    @property
    def position_rows(self) -> int:
        """Rows of the table of absolute positions; 0 if the model has none."""
        return self.positions if self.detail.get("position_biased_input", self.kind.positioned) else 0

    @property
    def relative_rows(self) -> int:
        """Rows of the table of relative positions, half of them for keys behind the query; 0 if there is none."""
        if not self.kind.disentangled:
            return 0
        buckets = self.detail["position_buckets"]
        return int(2 * (buckets if buckets > 0 else self.detail["max_relative_positions"]))

    @property
    def feed_forward(self) -> int:
        """Number of weights in the matrices of a layer's feed-forward network."""
        return (2 + self.kind.gated) * self.width * self.ffn

    def is_local(self, layer: int) -> bool:
        """Whether a layer, counted from 0, attends to a window only."""
        return self.kind.rotary and self.detail["layer_types"][layer] == LOCAL

    def stacked(self, layers: Sequence[int]) -> "Shape":
        """Shape of a model whose layer n is layer `layers[n]` of this one."""
        kinds = self.detail.get("layer_types")
        changed = {"layer_types": tuple(kinds[layer] for layer in layers)} if kinds else {}
        return replace(self, layers=len(layers), details=tuple({**self.detail, **changed}.items()))

    @property
    def body_parameters(self) -> int:
        """Number of parameters of embeddings, layers and pooler."""
        kind, bias, norm = self.kind, int(self.kind.biased), (1 + self.kind.biased) * self.width
        embeddings = (self.vocabulary + self.position_rows + self.types) * self.width + norm
        relative = kind.buckets * self.heads + self.relative_rows * self.width + bool(self.relative_rows) * norm
        attention = 4 * (self.width * self.width + bias * self.width) + norm
        feed_forward = self.feed_forward + bias * ((1 + kind.gated) * self.ffn + self.width) + norm
        pooler = self.width * self.width + bias * self.width + bool(kind.head.norm) * norm
        return embeddings + relative + self.layers * (attention + feed_forward) + pooler


def check_shapes(teacher: Shape, student: Shape) -> None:
    """Raise ValueError, with the right value in its text, if a student of this shape cannot follow the teacher."""
    if teacher.kind.prenorm or teacher.kind.disentangled:
        raise ValueError(
            f"distilling a model of {teacher.family} is not supported; a teacher needs the layers of BERT, without "
            "gates and embeddings of relative positions"
        )
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
