"""Atomic writes: a temporary name in the same folder, fsync, rename, so that a file exists only when it is complete."""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Marks the names of unfinished files and folders.
TEMPORARY = ".graft-tmp"
_TORCH_WRITES = re.compile(r"PytorchStreamWriter|inline_container.*unexpected pos")
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it becomes `path` if the block ends without an error."""
    path = Path(path)
    # Keep the suffix last: many writers choose their format by it.
    temporary = path.with_name(f"{_mark(path.stem)}{path.suffix}")
    with _errors_of(temporary, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.touch()
            mode = temporary.stat().st_mode
            yield temporary
            _finish(temporary, mode)
            os.replace(temporary, path)
            _flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path, new: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; it takes the place of `path` if the block ends without an error.

    new: replace nothing; raises OSError if another process has made `path` in the meantime.
    """
    path = Path(path)
    temporary = path.with_name(_mark(path.name))
    with _errors_of(temporary, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.mkdir()
            mode = temporary.stat().st_mode
            yield temporary
            for file in sorted(temporary.rglob("*")):
                _finish(file, mode)
            if not new:
                shutil.rmtree(path, ignore_errors=True)
            os.replace(temporary, path)
            _flush(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def check_new(path: Path) -> None:
    """Raise ValueError if `path` exists and OSError if it cannot be created, before hours are spent on it."""
    if path.exists() or path.is_symlink():
        raise ValueError(f"{path} already exists; name another folder, or remove it")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    wrong = None
    if not above.is_dir():
        wrong = errno.ENOTDIR
    elif os.statvfs(above).f_flag & os.ST_RDONLY:
        wrong = errno.EROFS
    elif not os.access(above, os.W_OK | os.X_OK):
        wrong = errno.EACCES
    if wrong is not None:
        raise OSError(wrong, os.strerror(wrong), str(path))


def remove_temporary(root: str | Path) -> None:
    """Remove the unfinished files of killed processes below `root`; nothing may be writing there."""
    for path in leftovers(root):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def leftovers(root: str | Path) -> list[Path]:
    """List the unfinished files and folders below `root`."""
    return sorted(Path(root).rglob(f".*{TEMPORARY}*"))


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically; raises ValueError for NaN, which JSON lacks."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; raises ValueError naming the file if it is not valid JSON."""
    try:
        return json.loads(Path(path).read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not valid JSON ({error}); delete it and run snakemake again") from error


def copy_into(source: str | Path, target: str | Path, names: Iterable[str]) -> None:
    """Copy the named files from folder `source` into folder `target`, skipping those that do not exist."""
    for name in names:
        if (Path(source) / name).is_file():
            shutil.copyfile(Path(source) / name, Path(target) / name)


def sha256(path: str | Path) -> str:
    """Return the hex sha256 of a file's bytes."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _mark(name: str) -> str:
    # Random: processes on two hosts that share a file system may have the same pid.
    return f".{name}.{secrets.token_hex(6)}{TEMPORARY}"


@contextmanager
def _errors_of(temporary: Path, path: Path) -> Iterator[None]:
    """Re-raise errors in writing `temporary` as OSErrors about `path`, whichever library writes it."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        elif isinstance(error.filename, (str, os.PathLike)):
            error.filename = os.fspath(error.filename).replace(str(temporary), str(path))
        if isinstance(error.filename2, (str, os.PathLike)):
            error.filename2 = os.fspath(error.filename2).replace(str(temporary), str(path))
        raise
    except Exception as error:
        # Rust libraries raise their own error types, with the errno at the end of the message; torch gives no errno.
        found = re.search(r"\(os error (\d+)\)", str(error))
        number = int(found[1]) if found else errno.EIO if _TORCH_WRITES.search(str(error)) else None
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def _finish(path: Path, mode: int) -> None:
    """Give a file the mode that the umask asks for, since some writers ignore it, and fsync the file or folder.

    mode: the mode of a file or folder created normally.
    """
    if path.is_file() and not path.is_symlink():
        path.chmod(mode & 0o666)
    _flush(path)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
