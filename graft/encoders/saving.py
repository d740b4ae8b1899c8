"""Writing a model as a Hugging Face folder."""

from pathlib import Path

from safetensors.torch import save_file
from transformers import PreTrainedModel


def save_model(model: PreTrainedModel, folder: str | Path) -> None:
    """Write config.json and model.safetensors into a folder that is there, byte for byte as `save_pretrained` does.

    That would import DeepSpeed wherever it is installed, only to ask whether the model is wrapped in it: seconds, and a
    warning on the terminal of commands that need none.
    """
    model.config.dtype = str(model.dtype).removeprefix("torch.")
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, Path(folder) / "model.safetensors", metadata={"format": "pt"})
