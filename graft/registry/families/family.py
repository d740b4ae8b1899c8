"""The data that sets one family of encoders apart from the others.

In memory every encoder has BERT's names for its tensors, whatever its family (`graft.encoders.network`). A family says
what its checkpoints call them, what its config calls its numbers, and what its encoders compute besides.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

NOTHING: Mapping[str, Any] = MappingProxyType({})
# Keys of a config by field of Shape, in most families.
KEYS = MappingProxyType(
    {
        "layers": "num_hidden_layers",
        "width": "hidden_size",
        "heads": "num_attention_heads",
        "ffn": "intermediate_size",
        "vocabulary": "vocab_size",
        "positions": "max_position_embeddings",
        "types": "type_vocab_size",
        "epsilon": "layer_norm_eps",
    }
)
# Keys of a config that change what most families compute, with the only values that Graft supports.
FIXED = MappingProxyType(
    {
        "hidden_act": "gelu",
        "position_embedding_type": "absolute",
        "is_decoder": False,
        "add_cross_attention": False,
        "pruned_heads": {},
    }
)


@dataclass(frozen=True)
class Special:
    """Special tokens: padding, unknown, first of a text, last of a text, mask; `between`: how many separate a pair."""

    pad: str = "[PAD]"
    unknown: str = "[UNK]"
    first: str = "[CLS]"
    last: str = "[SEP]"
    mask: str = "[MASK]"
    between: int = 1

    @property
    def framing(self) -> tuple[str, str, str]:
        """Those that batches are built with: padding, first, last."""
        return self.pad, self.first, self.last


BERTS = Special()


@dataclass(frozen=True)
class Head:
    """A classifier's two layers, as its checkpoints name them, and what comes between: tanh, gelu or relu.

    `norm`: a LayerNorm behind that, if there is one. `input_dropout`: whether dropout precedes the first layer too.
    `pooler`: the first layer's name in an encoder without a head; None if encoders of this family have none, where the
    identity stands for it.
    """

    dense: str = "classifier.dense"
    out: str = "classifier.out_proj"
    activation: str = "tanh"
    input_dropout: bool = True
    pooler: str | None = None
    norm: str | None = None


def as_given(config: dict[str, Any]) -> dict[str, Any]:
    """A config that is spelt in one way only."""
    return config


class Family(NamedTuple):
    """A family of encoders.

    name: as in `Shape.family` and in architectures' names. types: its configs' model_types, and how the names of their
    classes in transformers begin. prefix: of an encoder's tensors under a head. keys: the config's keys, by field of
    Shape; fixed: keys that change what is computed, with the only supported value; defaults: of keys that a config
    may leave out; equal: keys whose value must be another key's; absent: fields of Shape that have no key, with their
    values. details: further keys that change what is computed, of any value; spelt: brings a config into the one
    spelling that `fixed` and `details` are about. modules: stored names of modules that BERT calls otherwise, a layer's
    number being {}; fused: those stored as one, outputs in this order. unread: rows at the start of the position table
    that no position has. buckets: number of buckets of relative positions whose learned biases are added to attention's
    scores. drops_attended: whether what attention adds to the states has dropout. dropouts: the config's keys for
    dropout of hidden states, of attention's weights, and before the classifier, the first that is set.

    prenorm: whether attention and feed-forward read a normalised copy of the states, and the last layer's states are
    normalised; otherwise sums are. gated: whether feed-forward units are multiplied by a linear map of the same input.
    biased: whether linear layers and LayerNorms have biases. positioned: whether embeddings have positions. rotary:
    whether queries and keys are turned by their position. disentangled: whether they are also compared with embeddings
    of relative positions.
    """

    name: str
    types: Mapping[str, str]
    prefix: str
    head: Head
    special: Special = BERTS
    keys: Mapping[str, str] = KEYS
    fixed: Mapping[str, Any] = FIXED
    defaults: Mapping[str, Any] = NOTHING
    equal: Mapping[str, str] = NOTHING
    absent: Mapping[str, Any] = NOTHING
    details: tuple[str, ...] = ()
    spelt: Callable[[dict[str, Any]], dict[str, Any]] = as_given
    modules: Mapping[str, str] = NOTHING
    fused: Mapping[str, tuple[str, ...]] = NOTHING
    unread: int = 0
    buckets: int = 0
    drops_attended: bool = True
    dropouts: tuple[str, str, tuple[str, ...]] = (
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        ("classifier_dropout", "hidden_dropout_prob"),
    )
    prenorm: bool = False
    gated: bool = False
    biased: bool = True
    positioned: bool = True
    rotary: bool = False
    disentangled: bool = False

    def numbers(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Read the fields of Shape from a config; raises ValueError, naming the key, if it is not supported."""
        given = {**self.defaults, **config}
        for name, key in self.keys.items():
            if not isinstance(given.get(key), float if name == "epsilon" else int):
                raise ValueError(f"{key} is missing or not a number; a config of {self.name} needs it")
        given = self.spelt(given)
        for key, usual in self.fixed.items():
            if given.get(key, usual) != usual:
                raise ValueError(f"{key} is {given[key]!r}; only {usual!r} is supported")
        for key, other in self.equal.items():
            if given.get(key) != given[other]:
                raise ValueError(f"{key} is {given.get(key)!r}; only that of {other}, {given[other]}, is supported")
        found = {**self.absent, **{name: given[key] for name, key in self.keys.items()}}
        found |= {"positions": found["positions"] - self.unread}
        return found | ({"details": tuple((key, given[key]) for key in self.details)} if self.details else {})

    def sizes(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """The keys of a config for these fields of Shape: what `numbers` reads."""
        stored = {**numbers, "positions": numbers["positions"] + self.unread}
        found = {key: stored[name] for name, key in self.keys.items()}
        found |= {key: list(value) if isinstance(value, tuple) else value for key, value in stored["details"]}
        return found | {key: found[other] for key, other in self.equal.items()}


def unlike_heads(small: Family, large: Family) -> str:
    """Say why a head of the large model's family cannot compute one of the small model's; "" if it can."""
    if small.head.activation != large.head.activation:
        return f"a head of {small.name} has {small.head.activation}, one of {large.name} {large.head.activation}"
    if large.head.norm:
        return f"a head of {large.name} has a LayerNorm, which mixes in units that the small head lacks"
    return ""
