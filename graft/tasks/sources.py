"""Names of the splits of a data set, and the files of a local one. Imports no pandas."""

import os
from collections.abc import Sequence
from pathlib import Path

from graft.config.sources import FileData

# Published splits and their names on the hub; local files are named after the splits.
HUB_SPLITS = {"train": "train", "dev": "validation", "test": "test"}
# The splits of a task.
OF_A_TASK = ("train", "dev")


def source_files(source: FileData, where: str, splits: Sequence[str] = OF_A_TASK) -> dict[str, Path]:
    """Return the files of the given splits of a local source, whose folder may begin with $VARIABLES.

    Raises ValueError for a missing folder or file.
    """
    folder = os.path.expandvars(os.path.expanduser(source.folder))
    wanted = " and ".join(f"{split}.{source.kind}" for split in splits)
    if "$" in folder:
        name = folder[folder.index("$") :].split("/")[0].strip("${}")
        raise ValueError(f"{where}.folder: {source.folder} needs the environment variable {name}; export {name}=FOLDER")
    if not Path(folder).is_dir():
        raise ValueError(f"{where}.folder: {folder} is not a folder; it should contain {wanted}")
    found = {split: Path(folder) / f"{split}.{source.kind}" for split in splits}
    for file in found.values():
        if not file.is_file():
            others = sorted(other.name for other in file.parent.glob("*.*") if other.is_file())[:9]
            listed = f" (it contains {', '.join(others)})" if others else ""
            raise ValueError(f"{where}.folder: {file} is missing; the folder needs {wanted}{listed}")
    return found
