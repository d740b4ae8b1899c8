"""The files of a local data set's splits. Imports no pandas."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from graft.config.sources import FileData
from graft.io import files

# The splits of a task.
OF_A_TASK = ("train", "dev")


def source_files(source: FileData, where: str, splits: Sequence[str] = OF_A_TASK) -> dict[str, Path]:
    """Return the files of those of the given splits that a local source has; its folder may begin with $VARIABLES.

    Raises ValueError for a missing folder or file.
    """
    folder = os.path.expandvars(os.path.expanduser(source.folder))
    ending = "" if source.kind == "datasets" else f".{source.kind}"
    names = {split: f"{name}{ending}" for split in splits if (name := source.named(split))}
    wanted = " and ".join(names.values())
    if "$" in folder:
        name = folder[folder.index("$") :].split("/")[0].strip("${}")
        raise ValueError(f"{where}.folder: {source.folder} needs the environment variable {name}; export {name}=FOLDER")
    if not Path(folder).is_dir():
        raise ValueError(f"{where}.folder: {folder} is not a folder; it should contain {wanted}")
    found = {split: Path(folder) / name for split, name in names.items()}
    for file in found.values():
        if not (file.is_dir() if source.kind == "datasets" else file.is_file()):
            others = sorted(other.name for other in file.parent.iterdir() if not other.name.startswith("."))[:9]
            listed = f" (it contains {', '.join(others)})" if others else ""
            raise ValueError(f"{where}.folder: {file} is missing; the folder needs {wanted}{listed}")
    return found


def content_hash(path: Path) -> str:
    """Return the sha256 of a file, or of the names and contents of all files in a folder."""
    if path.is_file():
        return files.sha256(path)
    parts = [f"{file.relative_to(path)} {files.sha256(file)}" for file in sorted(path.rglob("*")) if file.is_file()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
