"""Canonical names of a model's tensors, whichever class and version of transformers saved them. Imports no torch.

A model with a head prefixes its encoder's tensors (`bert.encoder.layer.0...`), the same model without a head does not;
old checkpoints say gamma and beta for a LayerNorm's weight and bias. transformers reads all of these the same way.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

# transformers' `base_model_prefix`, and the model types that have it, if it is not the type itself.
_TYPES = {
    "roberta": ("xlm-roberta", "xlm-roberta-xl", "camembert", "xmod"),
    "deberta": ("deberta-v2",),
    "bert": ("megatron-bert", "big_bird"),
    "data2vec_text": ("data2vec-text",),
    "transformer": ("squeezebert", "xlnet", "gpt2"),
    "model": tuple(
        "modernbert eurobert llama mistral qwen2 qwen3 gemma gemma2 gemma3_text opt phi phi3 bart mbart".split()
    ),
}
PREFIXES = MappingProxyType({model_type: prefix for prefix, types in _TYPES.items() for model_type in types})
# Names of a LayerNorm's parts in old checkpoints, made with TensorFlow, and today's names.
_OLD = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))
# Constants such as 0, 1, 2, ... that a model computes when it is built, and that older transformers saved.
_BUFFER = re.compile(r"(^|\.)(position_ids|token_type_ids|rotary_emb\.inv_freq|attn\.masked_bias)$")
# First parts of the names of heads' tensors, in checkpoints whose encoder has no prefix.
_HEADS = (
    *("cls", "classifier", "pre_classifier", "qa_outputs", "qa_classifier", "lm_head", "score", "predictions"),
    *("vocab_transform", "vocab_layer_norm", "vocab_projector", "discriminator_predictions", "generator_predictions"),
    *("generator_lm_head", "lm_predictions", "head", "decoder_head", "fit_dense", "fit_denses"),
)


@dataclass(frozen=True)
class Names:
    """The tensors of one checkpoint: canonical name -> stored name.

    body: tensors of the encoder (or decoder); heads: of heads on it; buffers: constants that are not weights.
    """

    body: Mapping[str, str]
    heads: Mapping[str, str]
    buffers: Mapping[str, str]

    @property
    def stored(self) -> dict[str, str]:
        """Canonical name -> stored name of all tensors."""
        return {**self.body, **self.heads, **self.buffers}

    def without_head(self, pooler: bool = True) -> "Names":
        """Return the names of the encoder's tensors alone, with or without the pooler's."""
        body = {plain: name for plain, name in self.body.items() if pooler or not is_pooler(plain)}
        return Names(body, {}, self.buffers)


def prefix(model_type: str) -> str:
    """Return the prefix, such as "bert.", of the tensors of a model of this type under a head."""
    return PREFIXES.get(model_type, model_type.replace("-", "_")) + "."


def canonical(name: str, model_type: str = "bert") -> str:
    """Return a tensor's name in today's spelling and without the prefix, as in the model without a head."""
    return modern(name).removeprefix(prefix(model_type))


def modern(name: str) -> str:
    """Return a tensor's name in today's spelling, with its prefix."""
    for old, new in _OLD:
        name = name.replace(old, new)
    return name


def is_buffer(name: str) -> bool:
    """Whether a tensor of this name is a constant that a model computes when it is built, not a weight."""
    return _BUFFER.search(name) is not None


def is_pooler(name: str) -> bool:
    """Whether a tensor of this canonical name belongs to the pooler, which a model of the same body may lack."""
    return name.startswith("pooler.")


def of(stored: Iterable[str], model_type: str = "bert") -> Names:
    """Sort the names of a checkpoint's tensors into body, heads and buffers, keeping their order.

    If some names have the prefix, all others belong to heads; if none has, those named like heads do. If two names are
    the same tensor, raises ValueError, which begins with the second name.
    """
    stored = tuple(stored)
    under_head = any(name.startswith(prefix(model_type)) for name in stored)
    parts: dict[str, dict[str, str]] = {"body": {}, "heads": {}, "buffers": {}}
    seen: dict[str, str] = {}
    for name in stored:
        plain = canonical(name, model_type)
        if plain in seen:
            raise ValueError(f"{name} is the same tensor as {seen[plain]}; remove one of them")
        seen[plain] = name
        in_body = name.startswith(prefix(model_type)) if under_head else plain.split(".")[0] not in _HEADS
        parts["buffers" if is_buffer(plain) else "body" if in_body else "heads"][plain] = name
    return Names(**parts)
