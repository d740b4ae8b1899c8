"""MPNet (Song et al. 2020, arXiv 2004.09297): BERT without token types, with learned biases of relative positions."""

from graft.registry.families.family import KEYS, Family, Head, Special

MPNET = Family(
    name="mpnet",
    types={"mpnet": "MPNet"},
    prefix="mpnet.",
    head=Head(pooler="pooler.dense"),
    special=Special("<pad>", "[UNK]", "<s>", "</s>", "<mask>", between=2),
    keys={field: key for field, key in KEYS.items() if field != "types"},
    fixed={"hidden_act": "gelu", "relative_attention_num_buckets": 32},
    defaults={"layer_norm_eps": 1e-12},
    absent={"types": 0},
    modules={
        "encoder.layer.{}.attention.self.query": "encoder.layer.{}.attention.attn.q",
        "encoder.layer.{}.attention.self.key": "encoder.layer.{}.attention.attn.k",
        "encoder.layer.{}.attention.self.value": "encoder.layer.{}.attention.attn.v",
        "encoder.layer.{}.attention.output.dense": "encoder.layer.{}.attention.attn.o",
        "encoder.layer.{}.attention.output.LayerNorm": "encoder.layer.{}.attention.LayerNorm",
    },
    unread=2,
    buckets=32,
    dropouts=("hidden_dropout_prob", "attention_probs_dropout_prob", ("hidden_dropout_prob",)),
)
