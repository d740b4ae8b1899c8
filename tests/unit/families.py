"""A pico model of every family, made by transformers' own classes. A new family needs a row here."""

from transformers import CONFIG_MAPPING

# The config's keys of a pico model of each family, and their values for two shapes of no common divisor.
BERT_KEYS = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
FAMILIES = {
    "bert": (BERT_KEYS, {"max_position_embeddings": 16, "type_vocab_size": 2}),
    "roberta": (BERT_KEYS, {"max_position_embeddings": 18, "type_vocab_size": 1, "layer_norm_eps": 1e-5}),
    "electra": ((*BERT_KEYS, "embedding_size"), {"max_position_embeddings": 16}),
    "distilbert": (("n_layers", "dim", "n_heads", "hidden_dim"), {"max_position_embeddings": 16}),
    "mpnet": (BERT_KEYS, {"max_position_embeddings": 18}),
}
SIZES = {"small": (2, 8, 2, 20), "large": (5, 18, 3, 30)}


def pico_config(family, size="small", **changes):
    """transformers' config of a pico model of a family's first model_type."""
    keys, others = FAMILIES[family]
    sizes = dict(zip(keys, (*SIZES[size], SIZES[size][1]), strict=False))
    return CONFIG_MAPPING[family](**sizes, vocab_size=60, initializer_range=0.3, **others, **changes)
