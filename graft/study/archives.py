"""Archives: a study's finished records, predictions and tables in one zip, from which all tables can be made again.

Its files are those of results/<study>/, byte for byte and under the same paths, without texts, tokens, states and
models. `archive.json` beside them has the sha256 of each; the fingerprints of the study's steps, since the sources of
data and models are not there to be hashed again; and why runs are absent, since their logs are not there either.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from graft.config.study import load
from graft.io import files
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph

FILE = "archive.json"
ENDING = ".zip"
# Raised when a reader of the last version would misunderstand what this one writes.
FORMAT = 1
# Safe below any folder: not absolute, without `..`.
_NAME = re.compile(r"[^/.][^/]*(/[^/.][^/]*)*")
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
# Equal contents give equal bytes: every file has the first date that a zip can store.
_FIRST_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Manifest:
    """Content of `archive.json`.

    `archived`: the date. `code_version`, `commit`: of the Graft that wrote it. `runs`: their number, by state.
    `absent`: state and reason of each run that is not done. `fingerprints`: of steps, as these are written. `sha256`:
    of every other file, by its path.
    """

    study: str
    archived: str
    code_version: str
    commit: str | None
    runs: dict[str, int]
    absent: dict[str, tuple[str, str]]
    fingerprints: dict[str, str]
    sha256: dict[str, str]
    format: int = FORMAT

    def __str__(self) -> str:
        return f"archived on {self.archived} by Graft {self.code_version}"


_MANIFEST = TypeAdapter(Manifest)


def hashes(contents: Mapping[str, bytes]) -> dict[str, str]:
    """The sha256 of every file, by its path."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}


def write(path: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> None:
    """Write an archive atomically; `contents`: of every file, by its path."""
    told = json.dumps(asdict(manifest), indent=1, ensure_ascii=False) + "\n"
    with files.atomic_file(path) as temporary, zipfile.ZipFile(temporary, "w") as packed:
        for name, content in {FILE: told.encode(), **dict(sorted(contents.items()))}.items():
            entry = zipfile.ZipInfo(name, _FIRST_DATE)
            entry.external_attr = 0o644 << 16
            packed.writestr(entry, content, zipfile.ZIP_DEFLATED, compresslevel=9)


def unpack(path: Path, folder: Path) -> None:
    """Unpack an archive into a new folder, which then reads like the study's; raises ValueError unless it is whole."""
    if not path.is_file():
        raise ValueError(f"{path}: there is no such archive")
    try:
        with zipfile.ZipFile(path) as packed:
            if FILE not in packed.namelist():
                raise ValueError(f"it has no {FILE}")
            contents = {name: packed.read(name) for name in packed.namelist()}
        told = json.loads(contents.pop(FILE))
        if not isinstance(told, dict) or not isinstance(told.get("format"), int):
            raise ValueError(f"its {FILE} does not say which format it has")
    except _DAMAGED as error:
        raise ValueError(f"{path}: damaged, or not written by `archive` ({error}); get it again") from None
    if told["format"] > FORMAT:
        newer = f"a newer Graft wrote it (format {told['format']}; this one reads {FORMAT})"
        raise ValueError(f"{path}: {newer}; install that version")
    try:
        recorded = _MANIFEST.validate_python(told).sha256
    except ValidationError as error:
        wrong = error.errors()[0]
        field = ".".join(map(str, wrong["loc"]))
        raise ValueError(f"{path}: damaged: {FILE}: {field}: {wrong['msg']}; get it again") from None
    _check(path, recorded, hashes(contents))
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    files.write_json(folder / FILE, told)


def _check(path: Path, recorded: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Raise ValueError for a file that is missing, changed, added, or would be unpacked outside the folder."""
    for name in sorted(recorded.keys() | found.keys()):
        if name not in found:
            wrong = "is missing"
        elif name not in recorded:
            wrong = "was added"
        elif found[name] != recorded[name]:
            wrong = "is not the file that was archived (sha256 differs)"
        elif not _NAME.fullmatch(name):
            wrong = "is not a path of a study's file"
        else:
            continue
        raise ValueError(f"{path}: {name} {wrong}; get the archive again")


def manifest(paths: Paths) -> Manifest | None:
    """The manifest of an unpacked archive; None of any other folder of results, or if another study was begun in it."""
    file = paths.root / FILE
    if not file.is_file():
        return None
    found = _MANIFEST.validate_python(files.read_json(file))
    return found if files.sha256(paths.study) == found.sha256[paths.study.name] else None


def grid_of(paths: Paths) -> Grid:
    """The grid of a study with results; that of an archive knows the fingerprints that were archived."""
    grid, archived = Grid(load(paths.study)), manifest(paths)
    if archived:
        known = ((step, archived.fingerprints.get(str(step))) for step in graph.of_study(grid))
        grid.fingerprints |= {step: found for step, found in known if found}
    return grid
