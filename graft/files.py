"""Files that exist only when they are whole: temporary name in the same folder, fsync, rename."""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# In the names of what is not finished.
TEMPORARY = ".graft-tmp"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it becomes `path` if the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ending stays last, since many writers choose their format by it.
    temporary = path.with_name(f"{_mark(path.stem)}{path.suffix}")
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; it takes the place of `path` if the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(_mark(path.name))
    temporary.mkdir()
    try:
        yield temporary
        for file in sorted(temporary.rglob("*")):
            _flush(file)
        shutil.rmtree(path, ignore_errors=True)
        os.replace(temporary, path)
        _flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_temporary(root: str | Path) -> None:
    """Remove what killed processes left half-written below `root`; nothing may be writing there."""
    for path in leftovers(root):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def leftovers(root: str | Path) -> list[Path]:
    """What is half-written below `root`."""
    return sorted(Path(root).rglob(f".*{TEMPORARY}*"))


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; NaN is refused since JSON has none."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read one JSON file; a broken one is named in the error."""
    try:
        return json.loads(Path(path).read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not valid JSON ({error}); delete it and run snakemake again") from error


def copy_into(source: str | Path, target: str | Path, names: Iterable[str]) -> None:
    """Copy those of the named files that stand in folder `source` into folder `target`."""
    for name in names:
        if (Path(source) / name).is_file():
            shutil.copyfile(Path(source) / name, Path(target) / name)


def sha256(path: str | Path) -> str:
    """Hex sha256 of one file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _mark(name: str) -> str:
    # Random, since processes on two hosts of one file system may have one pid.
    return f".{name}.{secrets.token_hex(6)}{TEMPORARY}"


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
