"""Files that exist only when they are whole: temporary name in the same folder, fsync, rename."""

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

# In the names of what is not finished.
TEMPORARY = ".graft-tmp"
_TORCH_WRITES = re.compile(r"PytorchStreamWriter|inline_container.*unexpected pos")
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")


@contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it becomes `path` if the block ends without an error."""
    path = Path(path)
    # The ending stays last, since many writers choose their format by it.
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

    new: nothing is replaced; where somebody else made `path` meanwhile, OSError.
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
    """Raise ValueError where `path` is there, and OSError where it cannot be made: before hours of work for it."""
    if path.exists() or path.is_symlink():
        raise ValueError(f"{path} is there already; name another folder with --out, or remove it")
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


@contextmanager
def _errors_of(temporary: Path, path: Path) -> Iterator[None]:
    """What goes wrong in writing `temporary` as an OSError about `path`, whichever library writes it."""
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
        # Libraries in Rust raise errors of their own, with the system's number at the end; torch gives none.
        found = re.search(r"\(os error (\d+)\)", str(error))
        number = int(found[1]) if found else errno.EIO if _TORCH_WRITES.search(str(error)) else None
        if number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def _finish(path: Path, mode: int) -> None:
    """Give a file the mode that the umask asks for, which some writers do not, and see it or a folder onto the disk.

    mode: of a file or folder that was made in the plain way.
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
