"""Disk space of a study while it runs, and what of it stays. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from graft.config.models import HubModel
from graft.study import keeping
from graft.study.grid import Grid
from graft.study.sizes import Sizes, Unknown
from graft.study.steps.finetune_model import Tuning
from graft.study.steps.keep_models import KeepModels
from graft.study.steps.merge_encoders import MergeEncoders
from graft.study.steps.models import DownloadModel
from graft.study.steps.soup_models import SoupModels
from graft.study.steps.step import FILES, Making, Step

SCRATCH = "checkpoints and unfinished merges"
# A fine-tuning has two checkpoints and writes a third, each with weights, two moments and the best weights so far; a
# merge of models of one shape has its base and its result beside it.
_CHECKPOINTS, _BESIDE = 3 * 4, 2


@dataclass(frozen=True)
class Disk:
    """Bytes by category when they are most, and at the end; the step at which they are most, and whether all is known.

    The hub's cache, which other studies share, is in neither sum.
    """

    peak: dict[str, int]
    left: dict[str, int]
    at: Step
    cache: int
    whole: bool


def disk(sizes: Sizes, order: list[Step], seconds: Callable[[Step], float]) -> Disk:
    """Disk space of a study whose steps are done one after the other, and whose models go as `keeping` says.

    seconds: how long a step takes; a fine-tuning that ends before its first checkpoint is due writes none.
    """
    grid = sizes.grid
    here: dict[Step, int] = {}
    done: set[Step] = set()
    held: Counter[str] = Counter(dict.fromkeys(FILES, 0))
    peak, at, whole, cache = held.copy(), order[0], True, 0
    best = frozenset(_best(sizes))
    for step in order:
        try:
            size = step.bytes(sizes)
        except Unknown:
            size, whole = 0, False
        if isinstance(step, DownloadModel) and isinstance(grid.study.models[step.model].source, HubModel):
            cache += size
        here[step] = size
        if step.files:
            held[step.files] += size
        held[SCRATCH] = _scratch(step, grid, size, seconds)
        if held.total() > peak.total():
            peak, at = held.copy(), step
        held[SCRATCH] = 0
        done.add(step)
        for gone in keeping.freed(grid, done, step, best):
            if gone.files:
                held[gone.files] -= here.pop(gone, 0)
    return Disk(dict(peak), dict(held), at, cache, whole)


def _scratch(step: Step, grid: Grid, size: int, seconds: Callable[[Step], float]) -> int:
    if isinstance(step, Tuning):
        due = grid.study.launch.checkpoint_minutes
        try:
            writes = due is not None and seconds(step) >= 60 * due
        except Unknown:
            writes = True
        return _CHECKPOINTS * size if writes else 0
    return _BESIDE * size if isinstance(step, SoupModels | MergeEncoders) else 0


def _best(sizes: Sizes) -> Iterator[Making]:
    """The merges that are assumed to be kept as each task's best, which is not known yet: the largest, with parts."""
    largest: dict[str, tuple[int, Making]] = {}
    for made in KeepModels().candidates(sizes.grid):
        try:
            parts = keeping.with_parts(sizes.grid, [made])
            size = sum(part.bytes(sizes) for part in parts)
        except Unknown:
            continue
        if size > largest.get(made.task, (-1,))[0]:
            largest[made.task] = size, made
    return iter(keeping.with_parts(sizes.grid, (made for _, made in largest.values())))
