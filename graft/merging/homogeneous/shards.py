"""Write safetensors files of a known layout, block by block, in any order and from several threads."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graft.merging.homogeneous.checkpoint import INDEX, WEIGHTS
from graft.merging.homogeneous.formats import FLOATING, STORED, Array, narrowed

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True)
class Slot:
    """A tensor to be written."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def item(self) -> int:
        """Bytes of one element."""
        return STORED[self.dtype].itemsize

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.item


def size(text: str) -> int:
    """Parse a size such as 500MB or 5GB into bytes; raises ValueError for anything else and for less than one byte."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?B)?", text.strip().upper())
    unit = (match.group(2) or "").strip() if match else ""
    count = int(float(match.group(1)) * _UNITS["" if unit == "B" else unit]) if match else 0
    if count < 1:
        raise ValueError(f"--max-shard-size {text}: write it as 500MB or 5GB")
    return count


def shared_out(slots: Sequence[Slot], limit: int) -> list[list[Slot]]:
    """Divide tensors among files in order; no file exceeds `limit` bytes unless a single tensor does."""
    files: list[list[Slot]] = [[]]
    filled = 0
    for slot in slots:
        if files[-1] and filled + slot.bytes > limit:
            files.append([])
            filled = 0
        files[-1].append(slot)
        filled += slot.bytes
    return files


class Target(AbstractContextManager["Target"]):
    """The tensors of one merged model, held in memory as `arrays` of their stored dtypes.

    A write cannot reach outside its tensor; `close` checks completeness.
    """

    def __init__(self, slots: Sequence[Slot]) -> None:
        """Raise ValueError if two tensors have one name."""
        self._slots = {slot.name: slot for slot in slots}
        # For each tensor, the byte range [first, stop) of every write; `close` checks that they cover it.
        self._written: dict[str, list[tuple[int, int]]] = {name: [] for name in self._slots}
        if len(self._written) < len(slots):
            raise ValueError("two tensors are to be written under one name")
        self._make_room(slots)

    def _make_room(self, slots: Sequence[Slot]) -> None:
        self.arrays = {slot.name: np.empty(slot.shape, STORED[slot.dtype]) for slot in slots}

    def _put(self, name: str, first: int, view: memoryview) -> None:
        self.arrays[name].reshape(-1).view(np.uint8)[first : first + len(view)] = view

    def dtype(self, name: str) -> str:
        """The dtype in which a tensor is written."""
        return self._slots[name].dtype

    def write(self, name: str, start: int, values: Array) -> None:
        """Write values at element `start` of a tensor, rounding floating-point ones to its dtype.

        Raises OverflowError if a value exceeds the dtype, and ValueError for an unknown tensor, integers of another
        dtype or a range that reaches outside the tensor.
        """
        if name not in self._slots:
            raise ValueError(f"{name} is not among the tensors that are to be written")
        if not values.size:
            return
        slot = self._slots[name]
        stored = narrowed(values, slot.dtype) if slot.dtype in FLOATING else values
        if stored.dtype != STORED[slot.dtype]:
            raise ValueError(f"{name} is to be written as {slot.dtype}, and {stored.dtype} is given")
        first, stop = start * slot.item, start * slot.item + stored.nbytes
        if first < 0 or stop > slot.bytes:
            raise ValueError(f"{name} has {slot.bytes} bytes; {first} to {stop} would lie outside them")
        self._put(name, first, stored.reshape(-1).data.cast("B"))
        self._written[name].append((first, stop))

    def close(self) -> None:
        """Close any files; raises ValueError unless every byte of every tensor was written exactly once."""
        self._release()
        for name, slot in self._slots.items():
            reached = 0
            for first, stop in sorted(self._written[name]):
                if first != reached:
                    break
                reached = stop
            else:
                first = slot.bytes
            if first != reached:
                what = "written twice" if first < reached else "not written"
                raise ValueError(f"{name}: bytes {min(first, reached)} to {max(first, reached)} were {what}")

    def _release(self) -> None:
        """Close any files."""

    def __exit__(self, kind: type | None, *error: object) -> None:
        if kind is None:
            self.close()
        else:
            self._release()


class Writer(Target):
    """The weights files of one model folder."""

    def __init__(self, folder: Path, slots: Sequence[Slot], limit: int) -> None:
        """Create the files at full size with their headers, and an index if there are several.

        Raises ValueError if two tensors have one name.
        """
        self._folder, self._limit = folder, limit
        # For each tensor, its file's descriptor and its first byte.
        self._places: dict[str, tuple[int, int]] = {}
        self._descriptors: list[int] = []
        super().__init__(slots)

    def _make_room(self, slots: Sequence[Slot]) -> None:
        parts = shared_out(slots, self._limit)
        placed: dict[str, str] = {}
        for number, part in enumerate(parts, 1):
            name = WEIGHTS if len(parts) == 1 else f"model-{number:05d}-of-{len(parts):05d}.safetensors"
            placed |= {slot.name: name for slot in part}
            self._start(self._folder / name, part)
        if len(parts) > 1:
            total = sum(slot.bytes for slot in slots)
            index = {"metadata": {"total_size": total}, "weight_map": placed}
            (self._folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")

    def _start(self, file: Path, slots: Sequence[Slot]) -> None:
        header: dict[str, dict[str, Any]] = {"__metadata__": {"format": "pt"}}
        end = 0
        for slot in slots:
            place = [end, end + slot.bytes]
            header[slot.name] = {"dtype": slot.dtype, "shape": list(slot.shape), "data_offsets": place}
            end += slot.bytes
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        self._descriptors.append(descriptor)
        _write(descriptor, memoryview(len(text).to_bytes(8, "little") + text), 0)
        os.ftruncate(descriptor, 8 + len(text) + end)
        for slot in slots:
            start = 8 + len(text) + header[slot.name]["data_offsets"][0]
            self._places[slot.name] = descriptor, start

    def _put(self, name: str, first: int, view: memoryview) -> None:
        descriptor, place = self._places[name]
        _write(descriptor, view, place + first)

    def _release(self) -> None:
        while self._descriptors:
            os.close(self._descriptors.pop())


def _write(descriptor: int, view: memoryview, place: int) -> None:
    while len(view):
        count = os.pwrite(descriptor, view, place)
        view, place = view[count:], place + count
