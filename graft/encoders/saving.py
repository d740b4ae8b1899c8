"""Save a model as a Hugging Face folder."""

from pathlib import Path

from safetensors.torch import save_file

from graft.encoders import translation
from graft.encoders.models import class_of
from graft.encoders.network import Classifier, Encoder


def save_model(model: Encoder | Classifier, folder: str | Path) -> None:
    """Write config.json and model.safetensors into a folder, byte for byte as transformers does."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    model.config.dtype = str(model.dtype).removeprefix("torch.")
    model.config.architectures = [class_of(model.config, head=isinstance(model, Classifier))]
    model.config.save_pretrained(folder)
    tensors = model.state_dict()
    if isinstance(model, Classifier):
        stored = translation.stored_classifier(tensors, model.bert.shape)
    else:
        stored = translation.stored_body(tensors, model.shape)
    plain = {name: tensor.contiguous() for name, tensor in stored.items()}
    save_file(plain, Path(folder) / "model.safetensors", metadata={"format": "pt"})
