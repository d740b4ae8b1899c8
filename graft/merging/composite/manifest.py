"""Read and write composite.json: a composite's parts, by relative path, with the sha256 of all their files."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from graft.encoders.architecture import check_tensors
from graft.encoders.features import POOLINGS
from graft.io.files import atomic_folder, copy_into, read_json, sha256, write_json
from graft.merging.classifier_heads.ridge import LinearMap

FILE = "composite.json"
HEAD = "head.safetensors"
JOINT = "joint.safetensors"
TRAINED = "trained.safetensors"
SCHEMA = 1
# Files that determine a part's logits; the tokenizer belongs to the data.
PART_FILES = ("model.safetensors", "config.json", FILE, HEAD, JOINT, TRAINED)
# For each kind: its parts (under `parts` if there are several; None: two or more, of any name), its other keys, and the
# files of its linear maps or trained module.
KINDS: Mapping[str, tuple[set[str] | None, set[str], set[str]]] = {
    "constant": (set(), {"logits"}, set()),
    "probe": ({"encoder"}, {"pooling"}, {HEAD}),
    "layers_probe": ({"encoder"}, {"states"}, {HEAD}),
    "concat_probe": ({"small", "large"}, {"pooling"}, {HEAD}),
    "stitch": ({"first", "second"}, {"cut", "pooling"}, {HEAD, JOINT}),
    "logit_ensemble": ({"small", "probe"}, {"beta", "scales"}, set()),
    "proxy_tuning": ({"probe", "tuned", "untuned"}, {"alpha", "scales"}, set()),
    "side_tuning": ({"small", "large"}, {"pooling"}, {TRAINED}),
    "ladder": ({"small", "large"}, {"depth_map"}, {TRAINED}),
    "calm": ({"small", "large"}, {"depth_map", "pooling"}, {TRAINED}),
    "ensemble": (None, set(), set()),
}
Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Composite:
    """A checked composite.json: its folder, kind and fields."""

    folder: Path
    kind: str
    fields: Mapping[str, Any]

    def part(self, name: str) -> Path:
        """The folder of a part."""
        return Path(os.path.normpath(self.folder / self.fields.get("parts", self.fields)[name]))

    def linear(self, file: str, width: int) -> LinearMap:
        """Read a linear map of states of this width."""
        path = self.folder / file
        tensors = load_file(path)
        outputs = tensors["bias"].numel() if "bias" in tensors else 1
        check_tensors(tensors, {"weight": (outputs, width), "bias": (outputs,)}, str(path))
        return LinearMap(tensors["weight"], tensors["bias"])

    def restored(self, module: Module) -> Module:
        """Load the trained weights into a module, and return it in eval mode.

        Raises ValueError naming a tensor that is missing, unknown or of the wrong shape.
        """
        path = self.folder / TRAINED
        tensors = load_file(path)
        check_tensors(tensors, {name: tensor.shape for name, tensor in module.state_dict().items()}, str(path))
        module.load_state_dict(tensors)
        return module.eval()


def write(
    out_folder: str | Path,
    kind: str,
    parts: Mapping[str, str | Path] | None = None,
    maps: Mapping[str, LinearMap | Mapping[str, Tensor]] | None = None,
    **fields: Any,
) -> None:
    """Write a composite: `parts` are folders by name, `maps` tensors by file (stored in float32), `fields` other keys.

    A map is a linear map or the state dict of a trained module.

    Raises ValueError if a kind, part, map or key is unknown or missing, or if a part has no model.
    """
    parts, maps = parts or {}, maps or {}
    if kind not in KINDS:
        raise ValueError(f"no composite is called {kind!r}; available: {', '.join(KINDS)}")
    for what, given, known in zip(("part", "key", "map"), (parts, fields, maps), KINDS[kind], strict=True):
        if known is None:
            if len(given) < 2:
                raise ValueError(f"{kind}: {len(given)} parts; there must be two or more")
        elif odd := sorted(set(given) ^ known):
            has = ", ".join(sorted(known)) or "none"
            raise ValueError(f"{kind}: {what} {odd[0]} is missing or unknown; it has {has}")
    if fields.get("pooling", POOLINGS[0]) not in POOLINGS:
        raise ValueError(f"pooling {fields['pooling']!r} is unknown; available: {', '.join(POOLINGS)}")
    with atomic_folder(out_folder) as folder:
        hashes: dict[str, str] = {}
        for file, fitted in maps.items():
            tensors = vars(fitted) if isinstance(fitted, LinearMap) else fitted
            save_file({name: t.cpu().float().contiguous() for name, t in tensors.items()}, folder / file)
            hashes[file] = sha256(folder / file)
        _write(folder, kind, parts, hashes, fields, out_folder)


def read(folder: str | Path, check_parts: bool = True) -> Composite:
    """Read a composite and check its kind and keys and, with `check_parts`, the sha256 of all files of its parts.

    Raises ValueError naming the file or key that is missing, unknown or changed.
    """
    folder = Path(folder)
    path = folder / FILE
    fields = read_json(path)
    kind = fields.get("kind")
    if fields.get("schema") != SCHEMA or kind not in KINDS:
        raise ValueError(f"{path}: must have schema {SCHEMA} and a kind out of {', '.join(KINDS)}")
    parts, keys, _ = KINDS[kind]
    expected = keys | ({"parts"} if parts is None or len(parts) > 1 else parts) | {"schema", "kind", "sha256"}
    if set(fields) != expected:
        odd = sorted(set(fields) ^ expected)[0]
        raise ValueError(f"{path}: key {odd} is missing or unknown; a {kind} has {', '.join(sorted(expected))}")
    for relative, expected_hash in fields["sha256"].items() if check_parts else ():
        part = Path(os.path.normpath(folder / relative))
        if not part.is_file():
            raise ValueError(f"{part}: missing, though {path} is made from it; make that part again")
        if sha256(part) != expected_hash:
            raise ValueError(f"{part}: not the file that {path} was made from (sha256 differs); make {folder} again")
    return Composite(folder, kind, fields)


def gather(folder: str | Path, out_folder: str | Path) -> None:
    """Copy a composite into an existing folder that stands alone, with its parts, and theirs, in `parts/`.

    A part that several need is there once. Raises ValueError like `read`.
    """
    places: dict[Path, Path] = {}

    def copy(source: Path, target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        copy_into(source, target, set(PART_FILES) - {FILE})
        if not (source / FILE).is_file():
            return
        composite = read(source)
        known, keys, own = KINDS[composite.kind]
        parts = {name: place(composite.part(name), name) for name in composite.fields.get("parts", known)}
        hashes = {file: sha256(target / file) for file in own}
        _write(target, composite.kind, parts, hashes, {key: composite.fields[key] for key in keys})

    def place(source: Path, name: str) -> Path:
        if source not in places:
            same = sum(path.name.split("~")[0] == name for path in places.values())
            places[source] = Path(out_folder) / "parts" / (f"{name}~{same + 1}" if same else name)
            copy(source, places[source])
        return places[source]

    copy(Path(folder), Path(out_folder))


def _write(
    folder: Path,
    kind: str,
    parts: Mapping[str, str | Path],
    hashes: dict[str, str],
    fields: Mapping[str, Any],
    out_folder: str | Path | None = None,
) -> None:
    """Write composite.json into `folder`, which will be `out_folder`; `hashes`: sha256 of the files beside it."""
    out_folder = out_folder or folder
    for part in parts.values():
        hashes |= _hashes(out_folder, part)
    relative = {name: _relative(part, out_folder) for name, part in parts.items()}
    placed = {"parts": relative} if len(relative) > 1 else relative
    write_json(folder / FILE, {"schema": SCHEMA, "kind": kind, **placed, **fields, "sha256": hashes})


def _relative(part: str | Path, out_folder: str | Path) -> str:
    return Path(os.path.relpath(os.path.abspath(part), os.path.abspath(out_folder))).as_posix()


def _hashes(out_folder: str | Path, part: str | Path) -> dict[str, str]:
    found = [name for name in PART_FILES if (Path(part) / name).is_file()]
    if not found:
        raise ValueError(f"{part}: contains no model; it must have model.safetensors or {FILE}")
    relative = _relative(part, out_folder)
    return {f"{relative}/{name}": sha256(Path(part) / name) for name in found}
