"""DeBERTa-v2 and v3 (He et al. 2020, arXiv 2006.03654): BERT with attention to embeddings of relative positions."""

from typing import Any

from graft.registry.families.family import KEYS, Family, Head


def spelt(config: dict[str, Any]) -> dict[str, Any]:
    """Read kinds of attention from a string or a list in any order, and the farthest position where it is implied."""
    kinds = config.get("pos_att_type") or []
    listed = kinds.lower().split("|") if isinstance(kinds, str) else kinds
    farthest = config.get("max_relative_positions", -1)
    implied = {"max_relative_positions": config["max_position_embeddings"]} if farthest < 1 else {}
    pooled = {"pooler_hidden_size": config.get("pooler_hidden_size", config["hidden_size"])}
    return {**config, **implied, **pooled, "pos_att_type": sorted(kind.strip() for kind in listed)}


DEBERTA = Family(
    name="deberta-v2",
    types={"deberta-v2": "DebertaV2"},
    prefix="deberta.",
    head=Head("pooler.dense", "classifier", activation="gelu", input_dropout=False),
    keys=KEYS,
    fixed={
        "hidden_act": "gelu",
        "relative_attention": True,
        "pos_att_type": ["c2p", "p2c"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "conv_kernel_size": 0,
        "pooler_hidden_act": "gelu",
        "pooler_dropout": 0,
    },
    # What transformers takes where a config says nothing.
    defaults={
        "layer_norm_eps": 1e-7,
        "type_vocab_size": 0,
        "relative_attention": False,
        "share_att_key": False,
        "norm_rel_ebd": "none",
        "position_buckets": -1,
        "position_biased_input": True,
    },
    equal={"pooler_hidden_size": "hidden_size"},
    details=("max_relative_positions", "position_buckets", "position_biased_input"),
    spelt=spelt,
    modules={
        f"encoder.layer.{{}}.attention.self.{part}": f"encoder.layer.{{}}.attention.self.{part}_proj"
        for part in ("query", "key", "value")
    },
    dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob", ("cls_dropout", "hidden_dropout_prob")),
    disentangled=True,
)
