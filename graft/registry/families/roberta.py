"""RoBERTa (Liu et al. 2019, arXiv 1907.11692), XLM-RoBERTa and CamemBERT: BERT with positions counted from 2."""

from graft.registry.families.family import FIXED, Family, Head, Special

ROBERTA = Family(
    name="roberta",
    types={"roberta": "Roberta", "xlm-roberta": "XLMRoberta", "camembert": "Camembert"},
    prefix="roberta.",
    head=Head(pooler="pooler.dense"),
    special=Special("<pad>", "<unk>", "<s>", "</s>", "<mask>", between=2),
    # A position is numbered from the padding token's id on.
    fixed={**FIXED, "pad_token_id": 1},
    defaults={"layer_norm_eps": 1e-12},
    unread=2,
)
