"""Find the weights in Hugging Face model folders as users have them, and refuse other folders. Imports no torch."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CONFIG = "config.json"
SAFETENSORS, PICKLED = "model.safetensors", "pytorch_model.bin"
INDEX = ".index.json"
# In the order in which transformers looks for them.
LAYOUTS = (SAFETENSORS, SAFETENSORS + INDEX, PICKLED, PICKLED + INDEX)
# File names of weights in other formats, and their frameworks.
ELSEWHERE = {"tf_model.h5": "TensorFlow", "flax_model.msgpack": "Flax", "model.onnx": "ONNX", "rust_model.ot": "Rust"}
ADAPTER = "adapter_config.json"
# First bytes of the pointer that git leaves in a file's place if git-lfs did not fetch the file.
POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class ModelFolder:
    """A folder with a model.

    weights: its files, all safetensors or all `.bin`, sorted by name. index: the file that maps tensors to weights
    files, if there is one.
    """

    folder: Path
    config: dict[str, Any]
    weights: tuple[Path, ...]
    index: Path | None

    @property
    def pickled(self) -> bool:
        return self.weights[0].suffix == ".bin"


def open_folder(folder: Path, where: str = "") -> ModelFolder:
    """Read a folder's config and find its weights; `where` is the flag or key that names the folder.

    Raises ValueError, in one sentence, unless it is a folder with a config and weights that can be read.
    """
    said = f"{where}: {folder}" if where else str(folder)
    _check_folder(folder, said)
    config = read_config(folder, said)
    if "quantization_config" in config:
        raise ValueError(f"{said}: its weights are quantised; use the model in full precision")
    found = next((folder / name for name in LAYOUTS if (folder / name).is_file()), None)
    if found is None:
        other = next((kind for name, kind in ELSEWHERE.items() if (folder / name).is_file()), None)
        if other:
            raise ValueError(
                f"{said}: contains weights for {other} only; convert them to {SAFETENSORS} (transformers 4 can)"
            )
        raise ValueError(f"{said}: contains neither {SAFETENSORS} nor {PICKLED}, nor an index of either")
    index = found if found.name.endswith(INDEX) else None
    weights = _shards(index) if index else (found,)
    for file in weights:
        with file.open("rb") as handle:
            if handle.read(len(POINTER)) == POINTER:
                raise ValueError(f"{file}: only a pointer to the weights in git-lfs; fetch them with `git lfs pull`")
    return ModelFolder(folder, config, weights, index)


def read_config(folder: Path, said: str | None = None) -> dict[str, Any]:
    """Read a model folder's config.json; raises ValueError if it is missing or not a JSON object."""
    path = folder / CONFIG
    if not path.is_file():
        raise ValueError(
            f"{said or folder}: config.json is missing; a Hugging Face model folder is needed{_inside(folder)}"
        )
    return read_keys(path)


def read_keys(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file of a model folder; raises ValueError for any other content."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not valid JSON ({error}); save or download the model again") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: contains no keys; a JSON object is needed")
    return found


def label_names(config: Mapping[str, Any]) -> list[str]:
    """Return the names of a model's outputs from its config, in order; empty if the config does not name them.

    Raises ValueError unless the outputs are numbered from 0 and each has a different name.
    """
    named = config.get("id2label") or {}
    try:
        found = {int(number): str(name) for number, name in named.items()}
    except (TypeError, ValueError, AttributeError):
        found = {}
    names = [found[number] for number in range(len(named)) if number in found]
    if len(set(names)) < len(named):
        raise ValueError(f"id2label {named!r} must give a different label to each number from 0 on")
    return names


def _check_folder(folder: Path, said: str) -> None:
    if folder.is_file():
        raise ValueError(f"{said} is a file; name the model folder that contains it")
    if not folder.is_dir():
        # A name on the hub is also a valid relative path, so only the file system can tell them apart.
        named = re.fullmatch(r"[\w.-]+/[\w.-]+", str(folder)) and not folder.parent.exists()
        hint = f"; if it is a model on the hub: hf download {folder} --local-dir FOLDER" if named else ""
        raise ValueError(f"{said} is not a folder; a Hugging Face model folder is needed{hint}")
    if (folder / ADAPTER).is_file() and not any((folder / name).is_file() for name in LAYOUTS):
        raise ValueError(
            f"{said} contains a LoRA adapter but no model; merge it into its base model first (peft: "
            "model.merge_and_unload().save_pretrained(FOLDER)), and name that folder"
        )


def _inside(folder: Path) -> str:
    """Suggest subfolders that contain a model, in case their parent was named instead."""
    inside = sorted(path.parent.name for path in folder.glob(f"*/{CONFIG}"))
    return f", perhaps {', '.join(inside[:3])}{', ...' if len(inside) > 3 else ''} inside it" if inside else ""


def _shards(index: Path) -> tuple[Path, ...]:
    """Return the weights files that an index names; raises ValueError if one is missing or not beside it."""
    try:
        placed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(placed.values()))
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ValueError(f"{index}: not an index of weights files (weight_map is missing)") from None
    if not names:
        raise ValueError(f"{index}: names no weights file")
    for name in names:
        if Path(name).name != name:
            raise ValueError(f"{index}: {name!r} is not the name of a file in its folder")
        if not (index.parent / name).is_file():
            raise ValueError(f"{index.parent / name}, named in {index.name}, is missing; copy or download it again")
    return tuple(index.parent / name for name in names)
