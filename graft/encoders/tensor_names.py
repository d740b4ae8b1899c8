"""What the tensors of a model are called, whatever class and whatever age of transformers saved them. Imports no torch.

A model under a head calls its encoder's tensors by a prefix (`bert.encoder.layer.0...`), the same model without a head
does not; old checkpoints say gamma and beta for a LayerNorm's weight and bias. transformers reads all of these alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

# transformers' `base_model_prefix` by model_type, where it is not the type itself.
PREFIXES: Mapping[str, str] = MappingProxyType(
    {
        "xlm-roberta": "roberta",
        "xlm-roberta-xl": "roberta",
        "camembert": "roberta",
        "xmod": "roberta",
        "deberta-v2": "deberta",
        "megatron-bert": "bert",
        "big_bird": "bert",
        "data2vec-text": "data2vec_text",
        "squeezebert": "transformer",
        "xlnet": "transformer",
        "gpt2": "transformer",
    }
    | dict.fromkeys(
        ("modernbert", "eurobert", "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "opt"),
        "model",
    )
    | dict.fromkeys(("phi", "phi3", "bart", "mbart"), "model")
)
# As old checkpoints, made with TensorFlow, call a LayerNorm's parts.
_OLD = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))
# 0, 1, 2, ... and the like: what a model computes when it is made, and older versions of transformers saved.
_BUFFER = re.compile(r"(^|\.)(position_ids|token_type_ids|rotary_emb\.inv_freq|attn\.masked_bias)$")
# First parts of names of heads, in checkpoints whose encoder has no prefix.
_HEADS = (
    *("cls", "classifier", "pre_classifier", "qa_outputs", "qa_classifier", "lm_head", "score", "predictions"),
    *("vocab_transform", "vocab_layer_norm", "vocab_projector", "discriminator_predictions", "generator_predictions"),
    *("generator_lm_head", "lm_predictions", "head", "decoder_head", "fit_dense", "fit_denses"),
)


@dataclass(frozen=True)
class Names:
    """The tensors of one checkpoint: by canonical name, the name that it has there.

    body: of the encoder (or decoder) itself; heads: of what sits on it; buffers: of what carries no weights.
    """

    body: Mapping[str, str]
    heads: Mapping[str, str]
    buffers: Mapping[str, str]

    @property
    def stored(self) -> dict[str, str]:
        """All of them."""
        return {**self.body, **self.heads, **self.buffers}


def prefix(model_type: str) -> str:
    """What precedes the names of a model of this type where it stands under a head, such as "bert."."""
    return PREFIXES.get(model_type, model_type.replace("-", "_")) + "."


def canonical(name: str, model_type: str = "bert") -> str:
    """A tensor's name as the model without a head has it, in today's words."""
    return modern(name).removeprefix(prefix(model_type))


def modern(name: str) -> str:
    """A tensor's name in today's words, with its prefix."""
    for old, new in _OLD:
        name = name.replace(old, new)
    return name


def is_buffer(name: str) -> bool:
    """Whether a tensor of this name is no weight: a model computes it when it is made."""
    return _BUFFER.search(name) is not None


def is_pooler(name: str) -> bool:
    """Whether a tensor of this canonical name is of the pooler, which a model of the same body may go without."""
    return name.startswith("pooler.")


def of(stored: Iterable[str], model_type: str = "bert") -> Names:
    """The names of a checkpoint's tensors, in their order.

    Where some have the prefix, all others are heads'; where none has, those are that are called like heads. Raises
    ValueError, which begins with the second's name, where two are the same tensor.
    """
    stored = tuple(stored)
    under_head = any(name.startswith(prefix(model_type)) for name in stored)
    parts: dict[str, dict[str, str]] = {"body": {}, "heads": {}, "buffers": {}}
    seen: dict[str, str] = {}
    for name in stored:
        plain = canonical(name, model_type)
        if plain in seen:
            raise ValueError(f"{name} is the same tensor as {seen[plain]}; one of both must go")
        seen[plain] = name
        in_body = name.startswith(prefix(model_type)) if under_head else plain.split(".")[0] not in _HEADS
        parts["buffers" if is_buffer(plain) else "body" if in_body else "heads"][plain] = name
    return Names(**parts)
