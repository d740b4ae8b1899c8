"""Find and delete what a finished study no longer needs: intermediate states, partial files, and unwanted models."""

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from graft.io import files
from graft.io.names import check_patterns, common_pair, matches
from graft.study.grid import RUN
from graft.study.paths import Paths
from graft.study.steps.graph import STEPS


@dataclass(frozen=True)
class Item:
    """A file or folder that may be deleted, and its size."""

    path: Path
    bytes: int


def removable(paths: Paths, models: Iterable[str] = ()) -> list[Item]:
    """List what may be deleted, in a fixed order; `models`: patterns of runs whose saved models may be deleted too.

    Raises ValueError if a pattern matches no saved model.
    """
    temporary = [step for step in STEPS.values() if step.temporary]
    # Each folder is deleted whole, with its manifests: snakemake makes it again if, and only if, a later job needs it.
    folders = [step.pattern().output(paths).relative_to(paths.root).parts[0] for step in temporary]
    found = [*(paths.root / folder for folder in folders), paths.checkpoints("any").parent]
    found = [path for path in (*found, *(paths.logs / step.rule for step in temporary)) if path.exists()]
    found += _models(paths, list(models))
    found += [path for path in files.leftovers(paths.root) if not any(f in path.parents for f in found)]
    return [Item(path, _size(path)) for path in found]


def remove(items: Iterable[Item]) -> None:
    """Delete the items, manifests first, since these state that the files beside them are complete."""
    for item in sorted(items, key=lambda item: item.path.is_dir()):
        if item.path.is_dir():
            for manifest in [*item.path.rglob("manifest.json")]:
                manifest.unlink()
            shutil.rmtree(item.path)
        else:
            item.path.unlink(missing_ok=True)


def _models(paths: Paths, patterns: list[str]) -> list[Path]:
    """Model folders of matching runs, and of composites that contain one of these."""
    runs = paths.root / "runs"
    names = {folder: folder.parent.relative_to(runs).as_posix() for folder in sorted(runs.glob("*/*/seed-*/model"))}
    ending = common_pair(name.split("/")[1] for name in names.values())
    check_patterns("no saved model", patterns, names.values(), ending, RUN)
    chosen = {folder for folder, name in names.items() if any(matches(name, p, ending) for p in patterns)}
    while built := {folder for folder in names if folder not in chosen and chosen & set(_parts(folder))}:
        chosen |= built
    return sorted(chosen)


def _parts(folder: Path) -> Iterator[Path]:
    """The folders of a composite's parts."""
    manifest = folder / "composite.json"
    for relative in files.read_json(manifest)["sha256"] if manifest.is_file() else ():
        yield Path(os.path.normpath(folder / relative)).parent


def _size(path: Path) -> int:
    inside = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in inside if file.is_file() and not file.is_symlink())
