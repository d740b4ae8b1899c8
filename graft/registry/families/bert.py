"""BERT (Devlin et al. 2019, arXiv 1810.04805), whose names all encoders have in memory."""

from collections.abc import Mapping
from typing import Any

from graft.registry.families.family import KEYS, Family, Head

BERT = Family(
    name="bert",
    types={"bert": "Bert"},
    prefix="bert.",
    head=Head("bert.pooler.dense", "classifier", input_dropout=False, pooler="pooler.dense"),
    defaults={"layer_norm_eps": 1e-12},
)
# Keys of other families whose configs have all of BERT's as well.
OTHERS = {"embedding_size", "num_hidden_groups", "relative_attention", "attention_window", "bottleneck_size"}


def says_bert(config: Mapping[str, Any]) -> bool:
    """Whether a config without a model_type, as in old copies of TinyBERT, can only be BERT's.

    RoBERTa has a single token type.
    """
    named = all(str(name).startswith("Bert") for name in config.get("architectures") or ())
    whole = all(key in config for key in KEYS.values() if key not in BERT.defaults) and config["type_vocab_size"] == 2
    return named and whole and not OTHERS & set(config)
