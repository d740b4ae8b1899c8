"""A pre-trained model that is on this machine already: its folder, and its files in a fixed order. Imports no torch."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from graft import files
from graft.model_sections import PackageModel, PathModel

# Weights; the first is preferred, and the only one that a sha256 in the config can be about.
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# What a distillation compared hidden states with, beside the model that it made.
PROJECTION = "fit_dense.safetensors"


def model_files(source: PathModel | PackageModel, where: str) -> list[Path]:
    """Weights, config and tokenizer of a model that is here already, in a fixed order.

    Raises ValueError where one is missing or the weights' sha256 is not the config's.
    """
    folder = local_folder(source, where)
    weights = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if weights is None or not (folder / "config.json").is_file():
        missing = "config.json" if weights else " or ".join(WEIGHTS)
        raise ValueError(f"{where}: {folder / missing} is missing; a Hugging Face model folder is needed")
    if source.sha256 and (weights.name != WEIGHTS[0] or files.sha256(weights) != source.sha256):
        raise ValueError(f"{where}.sha256: {weights} has {files.sha256(weights)}; the config expects {source.sha256}")
    others = [folder / name for name in ("config.json", PROJECTION, *files.TOKENIZER) if (folder / name).is_file()]
    return [weights, *others]


def local_folder(source: PathModel | PackageModel, where: str) -> Path:
    """Folder of a local model; raises ValueError for a package that is not installed."""
    if isinstance(source, PathModel):
        return Path(os.path.expandvars(os.path.expanduser(source.folder)))
    spec = importlib.util.find_spec(source.package)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"{where}.package: {source.package} is not installed; pip install it")
    return Path(spec.submodule_search_locations[0]) / source.folder
