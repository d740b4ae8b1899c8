"""Read the tensors of a model folder, whatever the format of its weights."""

import torch
from safetensors.torch import load_file
from torch import Tensor

from graft.io.model_folders import ModelFolder


def read_checkpoint(model: ModelFolder, where: str) -> dict[str, Tensor]:
    """Read all tensors of a model folder under their stored names, from one or more files.

    Raises ValueError if a tensor occurs in two files, or if a file cannot be read or holds more than tensors.
    """
    tensors: dict[str, Tensor] = {}
    for file in model.weights:
        try:
            # weights_only: a pickle could run code on loading.
            part = torch.load(file, map_location="cpu", weights_only=True) if model.pickled else load_file(file)
        except Exception as error:  # safetensors, pickle and zipfile each raise their own type for a damaged file
            # torch's own message advises letting the pickle run its code.
            reason = (
                "damaged, or a pickle of more than tensors" if model.pickled else " ".join(str(error).split())[:200]
            )
            raise ValueError(f"{file}: cannot be read as weights ({reason}); save or download it again") from None
        for name, tensor in part.items():
            if name in tensors:
                raise ValueError(f"{where}: {name} is in two weights files")
            if not isinstance(tensor, Tensor):
                raise ValueError(f"{file}: {name} is not a tensor; a checkpoint with nothing but weights is needed")
            tensors[name] = tensor
    return tensors
