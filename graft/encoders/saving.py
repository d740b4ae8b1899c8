"""Save a model as a Hugging Face folder."""

from pathlib import Path

from safetensors.torch import save_file

from graft.encoders.transformers import PreTrainedModel


def save_model(model: PreTrainedModel, folder: str | Path) -> None:
    """Write config.json and model.safetensors into an existing folder, byte for byte as `save_pretrained` does.

    `save_pretrained` would import DeepSpeed if it is installed, only to ask whether it wraps the model: that takes
    seconds, and prints a needless warning.
    """
    model.config.dtype = str(model.dtype).removeprefix("torch.")
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, Path(folder) / "model.safetensors", metadata={"format": "pt"})
