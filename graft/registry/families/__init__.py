"""Families of encoders: a file for each, with all that is known of it. Imports no torch."""

from collections.abc import Mapping
from typing import Any

from graft.registry.families.bert import BERT, says_bert
from graft.registry.families.deberta import DEBERTA
from graft.registry.families.distilbert import DISTILBERT
from graft.registry.families.electra import ELECTRA
from graft.registry.families.family import Family
from graft.registry.families.modernbert import MODERNBERT
from graft.registry.families.mpnet import MPNET
from graft.registry.families.roberta import ROBERTA

KNOWN = (BERT, ROBERTA, ELECTRA, DISTILBERT, MPNET, MODERNBERT, DEBERTA)
FAMILIES = {family.name: family for family in KNOWN}
BY_TYPE = {model_type: family for family in FAMILIES.values() for model_type in family.types}


def of_config(config: Mapping[str, Any]) -> Family:
    """The family of a model with this `config.json`; raises ValueError, listing the families, if it is none of them."""
    if "model_type" not in config:
        if says_bert(config):
            return BERT
        raise ValueError(f"model_type is missing, and not all keys are BERT's; supported are {', '.join(BY_TYPE)}")
    if config["model_type"] not in BY_TYPE:
        raise ValueError(f"model_type is {config['model_type']!r}; supported are {', '.join(BY_TYPE)}")
    return BY_TYPE[config["model_type"]]
