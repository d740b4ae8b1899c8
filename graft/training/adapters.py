"""Low-rank adapters on a classifier: put on before training, added to the weights after it."""

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import BertForSequenceClassification

from graft.config.systems import LoraSystem

# Trained as they are.
WHOLE = ("pooler", "classifier")


def with_adapters(model: BertForSequenceClassification, settings: LoraSystem) -> PeftModel:
    """The classifier with frozen weights under adapters, which change nothing at first; pooler and classifier train.

    Adapters are drawn from torch's own generator.
    """
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
        modules_to_save=list(WHOLE),
    )
    return get_peft_model(model, config)


def without_adapters(model: PeftModel) -> BertForSequenceClassification:
    """The classifier with its adapters added to its weights: a plain model of the same answers."""
    return model.merge_and_unload()
