"""A pico model of every family, made by transformers' own classes. A new family needs a row here."""

from pathlib import Path

from graft.registry.families import FAMILIES as KNOWN
from graft.registry.shapes import Shape
from tests.conftest import VOCABULARY

# The config's keys of layers, width, heads, feed-forward units and what else has a width; and other keys.
BERT_KEYS = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
# What published models say; transformers' defaults are another network.
DEBERTA = {
    "relative_attention": True,
    "pos_att_type": "p2c|c2p",
    "share_att_key": True,
    "norm_rel_ebd": "layer_norm",
    "position_biased_input": False,
}
FAMILIES = {
    "bert": (BERT_KEYS, {"max_position_embeddings": 16, "type_vocab_size": 2}),
    "roberta": (BERT_KEYS, {"max_position_embeddings": 18, "type_vocab_size": 1, "layer_norm_eps": 1e-5}),
    "electra": ((*BERT_KEYS, "embedding_size"), {"max_position_embeddings": 16}),
    "distilbert": (("n_layers", "dim", "n_heads", "hidden_dim"), {"max_position_embeddings": 16}),
    "mpnet": (BERT_KEYS, {"max_position_embeddings": 18}),
    "modernbert": (BERT_KEYS, {"max_position_embeddings": 16, "local_attention": 4, "pad_token_id": 0}),
    "deberta-v2": (BERT_KEYS, {"max_position_embeddings": 16, "position_buckets": 4, **DEBERTA}),
}
# Shapes whose numbers do not divide one another.
SIZES = {"small": (2, 8, 2, 20), "large": (5, 18, 3, 30)}


def pico_config(family: str, size: str = "small", **changes):
    """transformers' config of a pico model of a family's first model_type."""
    from transformers import CONFIG_MAPPING

    keys, others = FAMILIES[family]
    sizes = dict(zip(keys, (*SIZES[size], SIZES[size][1]), strict=False))
    return CONFIG_MAPPING[family](**{**sizes, "vocab_size": 60, "initializer_range": 0.3, **others, **changes})


def pico_shape(family: str, layers: int, width: int, heads: int, ffn: int, vocabulary: int = 60) -> Shape:
    """A shape of a family, with 16 positions."""
    numbers = {"layers": layers, "width": width, "heads": heads, "ffn": ffn, "vocabulary": vocabulary}
    types = {"bert": 2, "electra": 2, "roberta": 1}.get(family, 0)
    return Shape(**numbers, positions=16, types=types, family=family, details=tuple(details(family, layers).items()))


def details(family: str, layers: int) -> dict:
    """What else is known of a pico model of a family: positions that are near enough to share buckets and windows."""
    kinds = "full_attention", "sliding_attention"
    local = tuple(kinds[layer % 3 > 0] for layer in range(layers))
    bases = {"global_rope_theta": 160.0, "local_rope_theta": 10.0}
    return {
        "modernbert": {"layer_types": local, "local_attention": 4, **bases, "classifier_pooling": "cls"},
        "deberta-v2": {"max_relative_positions": 16, "position_buckets": 4, "position_biased_input": False},
    }.get(family, {})


def write_pico(folder: Path, family: str, size: str = "small") -> Path:
    """A pico model, as transformers saves it, with a tokenizer of whole words in the family's form."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import AutoModel, PreTrainedTokenizerFast

    special = KNOWN[family].special
    # RoBERTa and MPNet have the padding second.
    framing = [special.first, special.pad] if special.between == 2 else [special.pad, special.first]
    words = [*framing, special.last, special.unknown, special.mask, *VOCABULARY[5:]]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=special.unknown))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [special.last] * special.between
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[special.first, "$A", special.last],
        pair=[special.first, "$A", *ends, "$B:1", f"{special.last}:1"],
        special_tokens=[(token, words.index(token)) for token in (special.first, special.last)],
    )
    named = {"pad_token": special.pad, "unk_token": special.unknown, "cls_token": special.first}
    named |= {"sep_token": special.last, "mask_token": special.mask}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named).save_pretrained(folder)
    config = pico_config(family, size, vocab_size=len(words), max_position_embeddings=64 + KNOWN[family].unread)
    AutoModel.from_config(config).save_pretrained(folder)
    return folder
