"""Low-rank adapters (LoRA) on a classifier: added before training, merged into the weights afterwards."""

from peft import LoraConfig, PeftModel, get_peft_model

from graft.config.systems import LoraSystem
from graft.encoders.network import Classifier


def with_adapters(model: Classifier, settings: LoraSystem) -> PeftModel:
    """Freeze the classifier and add adapters, which change nothing at first; pooler and classifier stay trainable.

    Adapters are drawn from torch's global generator.
    """
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
        modules_to_save=["pooler", "classifier"],
    )
    import torch.distributed.tensor  # noqa: F401 - peft asks for it; programs leave it out until then

    return get_peft_model(model, config)


def without_adapters(model: PeftModel) -> Classifier:
    """Merge the adapters into the weights; returns a plain classifier with the same outputs."""
    return model.merge_and_unload()
