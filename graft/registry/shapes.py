"""The numbers that define an encoder's architecture. Imports no torch, so that plans and costs need none."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graft.io.model_folders import read_config

# Config keys that define a BERT's shape, by field of Shape.
KEYS = {
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "heads": "num_attention_heads",
    "ffn": "intermediate_size",
    "vocabulary": "vocab_size",
    "positions": "max_position_embeddings",
    "types": "type_vocab_size",
}
# Config keys that change what a BERT computes, with the only values supported.
COMPUTED = {
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "pruned_heads": {},
}
# Keys of other families whose configs have all of the above as well.
NOT_BERT = {"embedding_size", "num_hidden_groups", "relative_attention", "attention_window", "bottleneck_size"}


@dataclass(frozen=True)
class Shape:
    """Shape of a BERT encoder: numbers of layers, units (width, ffn), heads, tokens (vocabulary, positions)."""

    layers: int
    width: int
    heads: int
    ffn: int
    vocabulary: int
    positions: int = 512
    types: int = 2

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Shape":
        """Read a Hugging Face `config.json`; raises ValueError for an architecture other than BERT.

        A config without a model_type, as in old copies of TinyBERT, is BERT's if its keys fit no other family.
        """
        if "model_type" not in config and not _says_bert(config):
            raise ValueError("model_type is missing, and not all keys are BERT's; only 'bert' is supported")
        if config.get("model_type", "bert") != "bert":
            raise ValueError(f"model_type is {config['model_type']!r}; only 'bert' is supported")
        if missing := [key for key in KEYS.values() if not isinstance(config.get(key), int)]:
            raise ValueError(f"{missing[0]} is missing or not a number; a BERT config needs it")
        for key, usual in COMPUTED.items():
            if config.get(key, usual) != usual:
                raise ValueError(f"{key} is {config[key]!r}; only {usual!r} is supported")
        shape = cls(**{field: config[key] for field, key in KEYS.items()})
        if shape.heads < 1 or shape.width % shape.heads:
            raise ValueError(f"hidden_size {shape.width} is not divisible by num_attention_heads {shape.heads}")
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
    def body_parameters(self) -> int:
        """Number of parameters of embeddings, layers and pooler."""
        embeddings = (self.vocabulary + self.positions + self.types + 2) * self.width
        attention = 4 * (self.width * self.width + self.width) + 2 * self.width
        feed_forward = 2 * self.width * self.ffn + self.ffn + self.width + 2 * self.width
        pooler = self.width * self.width + self.width
        return embeddings + self.layers * (attention + feed_forward) + pooler


def _says_bert(config: dict[str, Any]) -> bool:
    """Whether a config without a model_type can only be BERT's; RoBERTa has a single token type."""
    named = all(str(name).startswith("Bert") for name in config.get("architectures") or ())
    whole = all(key in config for key in KEYS.values()) and config["type_vocab_size"] == 2
    return named and whole and not NOT_BERT & set(config)


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
