"""Find the folder and the files of a pre-trained model that is already on this machine. Imports no torch."""

import importlib.util
import os
from pathlib import Path

from graft.config.models import PackageModel, PathModel
from graft.io import files
from graft.io.model_folders import SAFETENSORS, open_folder

# File beside a distilled model with the projections by which its distillation compared hidden states.
PROJECTION = "fit_dense.safetensors"


def model_files(source: PathModel | PackageModel, where: str) -> list[Path]:
    """Return the weights, config and tokenizer files of a local model, in a fixed order.

    Raises ValueError if the model cannot be read or the weights' sha256 differs from the study config's.
    """
    model = open_folder(local_folder(source, where), where)
    if source.sha256:
        # A sha256 in the config can only refer to this file.
        weights = model.weights[0]
        if weights.name != SAFETENSORS or files.sha256(weights) != source.sha256:
            raise ValueError(
                f"{where}.sha256: {weights} has {files.sha256(weights)}; the config expects {source.sha256}"
            )
    others = ("config.json", PROJECTION, "added_tokens.json", *files.TOKENIZER)
    return [*model.weights, *(model.folder / name for name in others if (model.folder / name).is_file())]


def local_folder(source: PathModel | PackageModel, where: str) -> Path:
    """Return the folder of a local model; raises ValueError if its package is not installed."""
    if isinstance(source, PathModel):
        return Path(os.path.expandvars(os.path.expanduser(source.folder)))
    spec = importlib.util.find_spec(source.package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"{where}.package: {source.package} is not installed; pip install it")
    return Path(spec.submodule_search_locations[0]) / source.folder
