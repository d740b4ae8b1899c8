"""Reading a model's tensors from its safetensors files, a block at a time, without loading the model."""

from __future__ import annotations

import copy
import json
import math
import os
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from graft.io.model_folders import ModelFolder, open_folder
from graft.merging.homogeneous.formats import FLOATING, STORED, Array, widened

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class TensorInfo:
    """A tensor's dtype, shape and location: `start` is its first byte in `file`, or `values` are in memory."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int
    values: Array | None = field(default=None, compare=False)

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def matrix(self) -> tuple[int, int]:
        """Rows (the first axis) and columns (all other axes); a vector or scalar is one row."""
        return (self.shape[0], math.prod(self.shape[1:])) if len(self.shape) > 1 else (1, self.count)

    @property
    def floating(self) -> bool:
        return self.dtype in FLOATING


class Checkpoint(AbstractContextManager["Checkpoint"]):
    """The tensors of one model, in any number of files. Several threads may read at once."""

    def __init__(self, name: str, files: Iterable[Path]) -> None:
        """Open `files`; errors refer to the checkpoint as `name`.

        Raises ValueError if a file is missing, truncated or not a safetensors file, a dtype is unknown, or a tensor is
        in two files.
        """
        self.name = name
        self.files = tuple(files)
        self.tensors: dict[str, TensorInfo] = {}
        for file in self.files:
            for info in _tensors(file):
                if info.name in self.tensors:
                    raise ValueError(f"{file}: {info.name} is in {self.tensors[info.name].file.name} as well")
                self.tensors[info.name] = info
        self._descriptors = {file: os.open(file, os.O_RDONLY) for file in self.files}
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    @classmethod
    def of_folder(cls, folder: Path) -> Checkpoint:
        """Open a Hugging Face model folder with one weights file, or several and an index."""
        model = open_folder(folder)
        found = _unpickled(model) if model.pickled else cls(str(folder), model.weights)
        if model.index is not None:
            placed = json.loads(model.index.read_text(encoding="utf-8"))["weight_map"]
            if unlike := set(placed) ^ set(found.tensors):
                raise ValueError(f"{folder}: {min(unlike)} is either in the index alone or in a file alone")
        return found

    @classmethod
    def of_arrays(cls, name: str, arrays: Mapping[str, Array]) -> Checkpoint:
        """View arrays in memory as a checkpoint."""
        found = cls(name, ())
        dtypes = {stored: dtype for dtype, stored in STORED.items() if dtype != "BF16"}
        for key, values in arrays.items():
            found.tensors[key] = TensorInfo(key, dtypes[values.dtype], values.shape, Path(name), 0, values)
        return found

    def without(self, prefixes: tuple[str, ...]) -> Checkpoint:
        """View the tensors whose names do not begin with any of these."""
        return self.under({name: name for name in self.tensors if not name.startswith(prefixes)})

    def under(self, names: Mapping[str, str]) -> Checkpoint:
        """View these tensors under other names; `names` maps each new name to the stored one, and hides all others."""
        view = copy.copy(self)
        view.tensors = {name: replace(self.tensors[stored], name=name) for name, stored in names.items()}
        return view

    def read(self, name: str, start: int = 0, stop: int | None = None, dtype: type[np.generic] = np.float32) -> Array:
        """Read elements start to stop of a floating-point tensor, in row-major order, as float32 or float64."""
        return widened(self.stored(name, start, stop), self.tensors[name].dtype, np.dtype(dtype))

    def stored(self, name: str, start: int = 0, stop: int | None = None) -> Array:
        """Read elements start to stop of any tensor in the dtype on disk."""
        info = self.tensors[name]
        if info.values is not None:
            return info.values.reshape(-1)[start:stop].copy()
        values = np.empty((info.count if stop is None else stop) - start, STORED[info.dtype])
        # An empty array cannot be viewed as bytes.
        view = values.data.cast("B") if values.size else memoryview(b"")
        place = info.start + start * values.itemsize
        while len(view):
            count = os.preadv(self._descriptors[info.file], [view], place)
            if count == 0:
                raise ValueError(f"{info.file}: ends inside {name}; it was changed or cut while it was read")
            view, place = view[count:], place + count
        return values

    def __exit__(self, *error: object) -> None:
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        if self._scratch is not None:
            self._scratch.cleanup()


def _unpickled(model: ModelFolder) -> Checkpoint:
    """Open a folder of `.bin` files, which cannot be read by block, through a temporary safetensors copy.

    Closing the checkpoint deletes the copy.
    """
    from safetensors.torch import save_file

    from graft.encoders.checkpoints import read_checkpoint

    scratch = tempfile.TemporaryDirectory(prefix="graft-")
    try:
        copy = Path(scratch.name) / WEIGHTS
        tensors = read_checkpoint(model, str(model.folder))
        # Tied tensors share memory in a pickle; safetensors does not allow that.
        save_file({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, copy)
        found = Checkpoint(str(model.folder), [copy])
    except BaseException:
        scratch.cleanup()
        raise
    found.files, found._scratch = model.weights, scratch
    return found


def _tensors(file: Path) -> list[TensorInfo]:
    """Read the tensors listed in a safetensors header, in file order; raises ValueError if the file is damaged."""
    if not file.is_file():
        raise ValueError(f"{file} is missing")
    size = file.stat().st_size
    with open(file, "rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if size < 8 or length > size - 8:
            raise ValueError(f"{file}: truncated, or no safetensors file ({size} bytes)")
        try:
            header = json.loads(handle.read(length), object_pairs_hook=_unique)
            header.pop("__metadata__", None)
            found = [
                TensorInfo(name, entry["dtype"], tuple(entry["shape"]), file, 8 + length + entry["data_offsets"][0])
                for name, entry in header.items()
            ]
            ends = {name: 8 + length + entry["data_offsets"][1] for name, entry in header.items()}
            counted = all(type(size) is int and size >= 0 for info in found for size in info.shape)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{file}: no safetensors file, its header cannot be read") from None
    reached = 8 + length
    for info in sorted(found, key=lambda info: (info.start, ends[info.name])):
        if info.dtype not in STORED:
            raise ValueError(f"{file}: {info.name} is {info.dtype}; supported: {', '.join(STORED)}")
        if not counted or ends[info.name] - info.start != info.count * STORED[info.dtype].itemsize:
            raise ValueError(f"{file}: {info.name} has {ends[info.name] - info.start} bytes, not its shape's size")
        if info.start != reached:
            raise ValueError(f"{file}: {info.name} does not begin where the tensor before it ends; the file is damaged")
        reached = ends[info.name]
    if size < reached:
        raise ValueError(f"{file}: truncated: {size} bytes of {reached}; copy or download it again")
    if size > reached:
        raise ValueError(f"{file}: has {size - reached} bytes more than its tensors; copy or download it again")
    return sorted(found, key=lambda info: info.start)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Build a JSON object from its pairs; raises ValueError if a name occurs twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name appears twice")
    return found
