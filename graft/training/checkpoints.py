"""Checkpoints of one training run: written atomically, verified by sha256 before use, the last two kept."""

import shutil
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from graft.io import files
from graft.training.world import World

KEPT = 2
_MANIFEST = "manifest.json"


@dataclass
class Checkpoints:
    """The checkpoints of one training run in `folder`, written every `minutes` (None: only on a stop signal)."""

    folder: Path
    minutes: float | None
    end_too: bool = False
    """Whether the end is kept as well, since the job has more trainings to do."""
    _last: float = field(default_factory=time.monotonic)

    def due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return self.minutes is not None and time.monotonic() - self._last >= 60 * self.minutes

    def save(self, world: World, step: int, position: dict[str, Any], tensors: dict[str, Any]) -> None:
        """Write the state of all processes after `step`: `position` (JSON) and `tensors`, both from the first process,
        weights and optimizer state, and each process's random state."""
        at = self.folder / f"step-{step:08d}"
        with files.atomic_folder(at) if world.main else nullcontext(at) as own:
            folder = world.of_main(own)
            cuda = {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {}
            torch.save({"cpu": torch.get_rng_state(), **cuda}, folder / f"random-{world.rank}.pt")
            world.save_state(folder)
            if world.main:
                torch.save(tensors, folder / "tensors.pt")
                files.write_json(folder / "position.json", position)
            world.gather(None)
            if world.main:
                written = sorted(path for path in folder.rglob("*") if path.is_file())
                hashes = {str(path.relative_to(folder)): files.sha256(path) for path in written}
                files.write_json(folder / _MANIFEST, {"sha256": hashes})
        if world.main:
            for old in self._found()[:-KEPT]:
                shutil.rmtree(old)
        world.gather(None)
        self._last = time.monotonic()

    def load(self, world: World) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Restore the newest intact checkpoint; damaged ones are reported on stderr and skipped.

        Returns its position and tensors, or None if there is no checkpoint to use.
        """
        folder = world.of_main(self._newest() if world.main else None)
        if folder is None:
            return None
        world.load_state(folder)
        random = _read(folder / f"random-{world.rank}.pt")
        torch.set_rng_state(random["cpu"])
        if "cuda" in random:
            torch.cuda.set_rng_state(random["cuda"])
        return files.read_json(folder / "position.json"), _read(folder / "tensors.pt")

    def _found(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"))

    def _newest(self) -> Path | None:
        for folder in reversed(self._found()):
            wrong = _damage(folder)
            if wrong is None:
                print(f"resuming from {folder}", file=sys.stderr, flush=True)
                return folder
            print(f"{folder}: {wrong}; using the checkpoint before it", file=sys.stderr, flush=True)
        return None


def _damage(folder: Path) -> str | None:
    """Describe what is wrong with a checkpoint; None if it is intact."""
    try:
        hashes = files.read_json(folder / _MANIFEST)["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"its manifest cannot be read ({error})"
    for name, expected in hashes.items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        if files.sha256(folder / name) != expected:
            return f"{name} has changed since it was written"
    return None


def _read(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)
