"""ModernBERT (Warner et al. 2024, arXiv 2412.13663): LayerNorms before, gates, rotary positions, no biases.

Of every few layers the first attends to the whole text, the others to a window around each token.
"""

from typing import Any

from graft.registry.families.family import KEYS, Family, Head

# Kinds of layers as the config names them, and the key of their rotary base in older configs.
GLOBAL, LOCAL = "full_attention", "sliding_attention"
BASES = {GLOBAL: "global_rope_theta", LOCAL: "local_rope_theta"}


def spelt(config: dict[str, Any]) -> dict[str, Any]:
    """Name each layer's kind, as newer configs do, and rotary bases by the keys of older ones.

    Raises ValueError, naming the key, for a kind of layer or of rotary positions that is not supported.
    """
    every = config.get("global_attn_every_n_layers", 3)
    kinds = [LOCAL if layer % every else GLOBAL for layer in range(config["num_hidden_layers"])]
    kinds = config.get("layer_types") or kinds
    if len(kinds) != config["num_hidden_layers"] or set(kinds) - set(BASES):
        raise ValueError(f"layer_types is {kinds!r}; only {GLOBAL} or {LOCAL} for each layer is supported")
    found = {"global_rope_theta": 160_000.0, "local_rope_theta": 10_000.0, **config, "layer_types": tuple(kinds)}
    for kind, given in (config.get("rope_parameters") or {}).items():
        if kind not in BASES or given.get("rope_type", "default") != "default":
            raise ValueError(f"rope_parameters has {kind} {given!r}; only rope_type 'default' is supported")
        found[BASES[kind]] = given.get("rope_theta", found[BASES[kind]])
    return found


MODERNBERT = Family(
    name="modernbert",
    types={"modernbert": "ModernBert"},
    prefix="model.",
    head=Head("head.dense", "classifier", activation="gelu", input_dropout=False, norm="head.norm"),
    keys={**{field: key for field, key in KEYS.items() if field != "types"}, "epsilon": "norm_eps"},
    fixed={
        "hidden_activation": "gelu",
        "norm_bias": False,
        "attention_bias": False,
        "mlp_bias": False,
        "classifier_bias": False,
        "classifier_activation": "gelu",
        "embedding_dropout": 0.0,
        "attention_dropout": 0.0,
        "mlp_dropout": 0.0,
        "rope_scaling": None,
    },
    defaults={"norm_eps": 1e-5, "local_attention": 128, "classifier_pooling": "cls"},
    absent={"types": 0},
    details=("layer_types", "local_attention", "global_rope_theta", "local_rope_theta", "classifier_pooling"),
    spelt=spelt,
    modules={
        "embeddings.word_embeddings": "embeddings.tok_embeddings",
        "embeddings.LayerNorm": "embeddings.norm",
        "encoder.layer.{}.attention.LayerNorm": "layers.{}.attn_norm",
        "encoder.layer.{}.attention.output.dense": "layers.{}.attn.Wo",
        "encoder.layer.{}.attention.output.LayerNorm": "layers.{}.mlp_norm",
        "encoder.layer.{}.output.dense": "layers.{}.mlp.Wo",
        "encoder.layer.{}.output.LayerNorm": "final_norm",
    },
    fused={
        "layers.{}.attn.Wqkv": tuple(f"encoder.layer.{{}}.attention.self.{part}" for part in ("query", "key", "value")),
        "layers.{}.mlp.Wi": ("encoder.layer.{}.intermediate.dense", "encoder.layer.{}.intermediate.gate"),
    },
    dropouts=("embedding_dropout", "attention_dropout", ("classifier_dropout",)),
    prenorm=True,
    gated=True,
    biased=False,
    positioned=False,
    rotary=True,
)
