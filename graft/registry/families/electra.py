"""ELECTRA's discriminator (Clark et al. 2020, arXiv 2003.10555): BERT without a pooler."""

from graft.registry.families.family import Family, Head

ELECTRA = Family(
    name="electra",
    types={"electra": "Electra"},
    prefix="electra.",
    head=Head(activation="gelu"),
    defaults={"layer_norm_eps": 1e-12},
    equal={"embedding_size": "hidden_size"},
)
