"""Which models of a study stay, and the deletion of the others once nothing reads them any more. Imports no torch."""

import contextlib
import functools
import shutil
import statistics
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from graft.config.study import BEST, PAIRS
from graft.io import files
from graft.io.names import matches
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.keep_models import KeepModels
from graft.study.steps.making import making
from graft.study.steps.step import Making, Step


def release(grid: Grid, paths: Paths, step: Step) -> None:
    """Delete the models and states that a step, just done, was the last to read."""
    for model in _models(grid, step):
        if model.model(paths).is_dir() and not (stays(grid, paths, model) or _is_read_later(grid, paths, model)):
            _delete(model.model(paths))
    release_states(grid, paths, step)


def release_states(grid: Grid, paths: Paths, step: Step) -> None:
    """Delete the states that a step, just done, was the last to read."""
    for states in _states(grid, step):
        if states.output(paths).is_file() and not _is_read_later(grid, paths, states):
            _delete(states.output(paths).parent)


def freed(grid: Grid, done: Collection[Step], step: Step, best: Collection[Making]) -> list[Step]:
    """The models and states that a step, just done, is the last to read, if these merges turn out to be the best."""
    models = [model for model in _models(grid, step) if model not in _kept(grid) and model not in best]
    return [one for one in (*models, *_states(grid, step)) if not _has_readers(grid, one, done.__contains__)]


def _models(grid: Grid, step: Step) -> list[Making]:
    return [*step.holds(grid), *([step] if isinstance(step, Making) else [])]


def _states(grid: Grid, step: Step) -> list[Step]:
    return [states for states in step.inputs(grid) if states.temporary]


def stays(grid: Grid, paths: Paths, made: Making) -> bool:
    """Whether a model is kept, for its own sake or as a part of another."""
    return made in _kept(grid) or made in with_parts(grid, best(grid, paths).values())


def best(grid: Grid, paths: Paths) -> dict[str, Making]:
    """Each task's best merge, as `keep_models` chose it; empty before."""
    path = KeepModels().output(paths)
    chosen = files.read_json(path)["best"] if path.is_file() else {}
    known = {task: made for task, made in chosen.items() if task in grid.study.tasks and made[0] in grid.systems}
    return {task: making(grid, task, *made) for task, made in known.items()}


def best_on_select(paths: Paths, made: Iterable[Making]) -> str:
    """The system with the highest mean of the primary metric on `select` over these finished models."""
    scores: dict[str, list[float]] = {}
    for one in made:
        scores.setdefault(one.system, []).append(files.read_json(one.output(paths))["select"]["value"])
    return max(scores, key=lambda name: statistics.fmean(scores[name]))


@functools.cache
def _kept(grid: Grid) -> frozenset[Making]:
    """The models that the config keeps, apart from the best merges, and their parts."""
    patterns = [pattern for pattern in grid.study.keep if pattern not in (PAIRS, BEST)]
    models = {model for pair in grid.study.pairs for model in (pair.large, pair.small)}
    own = {f"finetune.{model}" for model in models} if PAIRS in grid.study.keep else set()
    found = (step for step in graph.of_study(grid) if isinstance(step, Making))
    names = ((made, f"{made.task}/{made.system}/seed-{made.seed}") for made in found)
    kept = (
        made
        for made, name in names
        if made.system in own or any(matches(name, pattern, grid.ending) for pattern in patterns)
    )
    return with_parts(grid, kept)


def with_parts(grid: Grid, models: Iterable[Making]) -> frozenset[Making]:
    """These systems, and those whose models they consist of."""
    found: set[Making] = set()
    left = list(models)
    while left:
        found.add(made := left.pop())
        left += made.parts(grid)
    return frozenset(found)


@functools.cache
def _readers(grid: Grid) -> dict[Step, list[Step]]:
    """The steps for which each model, or temporary folder, must be there."""
    found: dict[Step, list[Step]] = {}
    for step in graph.of_study(grid):
        for read in {*step.holds(grid), *(other for other in step.inputs(grid) if other.temporary)}:
            found.setdefault(read, []).append(step)
    return found


def _is_read_later(grid: Grid, paths: Paths, read: Step) -> bool:
    return _has_readers(grid, read, lambda step: step.is_done(grid, paths))


def _has_readers(grid: Grid, read: Step, is_done: Callable[[Step], bool]) -> bool:
    """Whether a step reads it that is not done; states that are not here are made only if something reads them."""
    left = (reader for reader in _readers(grid).get(read, ()) if not is_done(reader))
    return any(not reader.temporary or _has_readers(grid, reader, is_done) for reader in left)


def _delete(folder: Path) -> None:
    """Delete a folder; renamed first, so that no half of it is ever taken for the whole.

    Two jobs that end at the same time may both do so.
    """
    gone = folder.with_name(f".{folder.name}{files.TEMPORARY}")
    shutil.rmtree(gone, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
