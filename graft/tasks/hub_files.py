"""Find the files of each split among the names of a repository's files, as the hub's data sets are laid out."""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from graft.tasks.formats import KINDS

# `train.csv`; `train-00000-of-00002.parquet`, perhaps with a hash; `train/0000.parquet`, as the hub converts data sets.
_FILE = re.compile(rf"([^/]+?)(?:-\d+-of-\d+[^/]*|/[^/]+)?\.({'|'.join(KINDS)})")


def splits_of(names: Iterable[str], config: str | None) -> dict[str, tuple[str, list[str]]]:
    """Return kind and files of each split of one config; without a config, of the repository itself or its `data`.

    A split in several kinds is taken as parquet, or else as the first of KINDS.
    """
    names = sorted(names)
    for folder in (f"{config}/", f"data/{config}/") if config else ("", "data/"):
        found: dict[str, dict[str, list[str]]] = {}
        for name in names:
            match = _FILE.fullmatch(name.removeprefix(folder)) if name.startswith(folder) else None
            # Without a config, `data/x.csv` is a file of the folder `data`, not of a split called so.
            if match and (config or folder or "/" not in name):
                found.setdefault(match[1], {}).setdefault(match[2], []).append(name)
        if found:
            return {
                split: next((kind, kinds[kind]) for kind in KINDS if kind in kinds) for split, kinds in found.items()
            }
    return {}


def configs_of(names: Iterable[str]) -> list[str]:
    """Return the configs of a repository: its folders with files that could be splits."""
    folders = {PurePosixPath(name).parts[0] for name in names if "/" in name}
    return sorted(folder for folder in folders if folder != "data" and splits_of(names, folder))
