"""composite.json: what a composite is made of, with relative paths and the sha256 of every file of its parts."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from graft.files import atomic_folder, read_json, sha256, write_json
from graft.merging.architecture import check_tensors
from graft.merging.heads.ridge import LinearMap
from graft.merging.registry import POOLINGS

FILE = "composite.json"
HEAD = "head.safetensors"
SCHEMA = 1
# Files that decide a part's logits; the tokenizer belongs to the data.
PART_FILES = ("model.safetensors", "config.json", FILE, HEAD)
KEYS = {
    "probe": {"encoder", "pooling"},
    "logit_ensemble": {"parts", "beta", "scales"},
    "constant": {"logits"},
}


@dataclass(frozen=True)
class Composite:
    """A checked composite.json: its folder, kind and fields."""

    folder: Path
    kind: str
    fields: Mapping[str, Any]

    def path(self, relative: str) -> Path:
        """Where a part lies."""
        return Path(os.path.normpath(self.folder / relative))

    def head(self, width: int) -> LinearMap:
        """A probe's linear map, for an encoder `width` wide."""
        path = self.folder / HEAD
        tensors = load_file(path)
        outputs = tensors["bias"].numel() if "bias" in tensors else 1
        check_tensors(tensors, {"weight": (outputs, width), "bias": (outputs,)}, str(path))
        return LinearMap(tensors["weight"], tensors["bias"])


def write_probe(out_folder: str | Path, encoder_folder: str | Path, pooling: str, head: LinearMap) -> None:
    """Write a probe: a frozen encoder, a pooling ("cls" or "mean") and a linear map, stored in float32."""
    if pooling not in POOLINGS:
        raise ValueError(f"pooling {pooling!r} is not known; known are {', '.join(POOLINGS)}")
    with atomic_folder(out_folder) as folder:
        tensors = {"weight": head.weight.cpu().float().contiguous(), "bias": head.bias.cpu().float().contiguous()}
        save_file(tensors, folder / HEAD)
        hashes = {HEAD: sha256(folder / HEAD)} | _hashes(out_folder, encoder_folder)
        fields = {"encoder": _relative(encoder_folder, out_folder), "pooling": pooling, "sha256": hashes}
        _write(folder, "probe", fields)


def write_logit_ensemble(
    out_folder: str | Path,
    small_folder: str | Path,
    probe_folder: str | Path,
    beta: float,
    scales: tuple[float, float] | None,
) -> None:
    """Write an ensemble: beta times the small classifier's logits and 1 - beta times the large model's probe's.

    `scales` are those of `graft.merging.composite.logit_ensemble.fit`, None for scores.
    """
    with atomic_folder(out_folder) as folder:
        parts = {"small": _relative(small_folder, out_folder), "probe": _relative(probe_folder, out_folder)}
        hashes = _hashes(out_folder, small_folder) | _hashes(out_folder, probe_folder)
        scales_json = None if scales is None else list(scales)
        _write(folder, "logit_ensemble", {"parts": parts, "beta": beta, "scales": scales_json, "sha256": hashes})


def write_constant(out_folder: str | Path, logits: Sequence[float]) -> None:
    """Write a system that gives every text the same logits (or the same one score)."""
    with atomic_folder(out_folder) as folder:
        _write(folder, "constant", {"logits": [float(x) for x in logits], "sha256": {}})


def read(folder: str | Path) -> Composite:
    """Read and check a composite: its kind, its keys, and that every file of its parts is the one it was made from.

    Raises ValueError naming the file or key that is missing, unknown or changed.
    """
    folder = Path(folder)
    path = folder / FILE
    fields = read_json(path)
    kind = fields.get("kind")
    if fields.get("schema") != SCHEMA or kind not in KEYS:
        raise ValueError(f"{path}: must have schema {SCHEMA} and a kind out of {', '.join(KEYS)}")
    expected = KEYS[kind] | {"schema", "kind", "sha256"}
    if set(fields) != expected:
        odd = sorted(set(fields) ^ expected)[0]
        raise ValueError(f"{path}: key {odd} is missing or unknown; a {kind} has {', '.join(sorted(expected))}")
    for relative, expected_hash in fields["sha256"].items():
        part = Path(os.path.normpath(folder / relative))
        if not part.is_file():
            raise ValueError(f"{part}: missing, though {path} is made from it; make that part again")
        if sha256(part) != expected_hash:
            raise ValueError(f"{part}: not the file that {path} was made from (sha256 differs); make {folder} again")
    return Composite(folder, kind, fields)


def _write(folder: Path, kind: str, fields: Mapping[str, Any]) -> None:
    write_json(folder / FILE, {"schema": SCHEMA, "kind": kind, **fields})


def _relative(part: str | Path, out_folder: str | Path) -> str:
    return Path(os.path.relpath(os.path.abspath(part), os.path.abspath(out_folder))).as_posix()


def _hashes(out_folder: str | Path, part: str | Path) -> dict[str, str]:
    found = [name for name in PART_FILES if (Path(part) / name).is_file()]
    if not found:
        raise ValueError(f"{part}: holds no model; it must have model.safetensors or {FILE}")
    relative = _relative(part, out_folder)
    return {f"{relative}/{name}": sha256(Path(part) / name) for name in found}
