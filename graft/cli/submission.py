"""Predict GLUE's test sets with one system, and write the zip that GLUE's server takes."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from graft.cli import glue
from graft.compute import hardware
from graft.config.sources import GeneratedData
from graft.encoders.inference import run as run_model
from graft.io import files
from graft.io.progress import Report
from graft.merging.loading import load
from graft.reporting import formats
from graft.study import answering, runs
from graft.study.grid import Grid, Run
from graft.study.paths import Paths
from graft.study.steps.making import making
from graft.tasks import metrics, readers
from graft.tasks.vocabularies import Reader, read_by


@dataclass(frozen=True)
class Part:
    """A model's predictions on one test set, with its run and score on `select` (None if it has none)."""

    name: str
    run: Run
    select: float | None
    index: list[object]
    predictions: list[str]

    def __str__(self) -> str:
        chosen = "" if self.select is None else f", {formats.score(self.select)} on select"
        rows, official = len(self.predictions), glue.TEST_SETS[self.name].rows
        unlike = "" if rows == official else f"; GLUE's test set has {official}, so its server will reject this"
        return f"{self.name}: {rows} predictions by {self.run.id}{chosen}{unlike}"


def submit(grid: Grid, paths: Paths, system: str, seed: str | None, out: Path, report: Report) -> list[Part]:
    """Predict the test split of every GLUE task of a study with one system, and write the zip.

    `seed`: of the model; by default, for each task, the one that is best on `select`. Raises ValueError if the study
    has no GLUE task or no such system, if a model or test split is missing, or if a model differs from its build.json.
    """
    system = named(grid, system)
    tasks = [task for task in grid.study.tasks if task in glue.NAMES]
    if not tasks:
        raise ValueError(f"study {grid.study.name} has none of GLUE's tasks: {', '.join(glue.NAMES)}")
    chosen = {task: found for task in tasks if (found := _run(grid, paths, task, system, seed))}
    if not chosen:
        raise ValueError(f"study {grid.study.name} runs no system {system!r} on {' or '.join(tasks)}")
    # Check for everything that may be missing before computing anything.
    texts = {task: _texts(grid, task) for task in chosen}
    parts = []
    for done, (task, (run, select)) in enumerate(chosen.items()):
        report(done, len(chosen), task)
        index, predicted = _answers(grid, paths, run, texts[task])
        parts.append(Part(glue.NAMES[task], run, select, index, predicted))
    report(len(chosen), len(chosen), "")
    glue.write(out, {part.name: (part.index, part.predictions) for part in parts})
    return parts


def named(grid: Grid, system: str) -> str:
    """The full name of a system named as in the tables; raises ValueError if there is none."""
    try:
        return grid.named(system)
    except ValueError as error:
        raise ValueError(f"study {grid.study.name} runs {error}") from None


def _run(grid: Grid, paths: Paths, task: str, system: str, seed: str | None) -> tuple[Run, float | None] | None:
    """The run whose model answers, and its score on `select`; None if the study has no such run."""
    own = [run for run in grid.runs if (run.task, run.system.name) == (task, system)]
    if seed is not None and own and not (own := [run for run in own if str(run.seed) == seed]):
        known = ", ".join(map(str, grid.study.seeds_of(task)))
        raise ValueError(f"{task}/{system} has no seed {seed!r}; the study has {known}")
    if not own:
        return None
    # Refuse missing runs instead of skipping them: the best seed would depend on which exist.
    scores: dict[Run, float | None] = {}
    for run in own:
        folder = paths.run(*run.made)
        if not (folder / "build.json").is_file() or not (folder / "model").is_dir():
            raise ValueError(
                f"{folder / 'model'}: not made, or not kept; delete {folder / 'run.json'} if it exists and run "
                "snakemake, or name another seed with --seed"
            )
        select = files.read_json(folder / "build.json")["select"]
        scores[run] = select["value"] if select else None
    best = max(own, key=lambda run: float("-inf") if (score := scores[run]) is None else score)
    return best, scores[best]


def _texts(grid: Grid, task: str) -> pd.DataFrame:
    source, where = grid.study.tasks[task].source, f"tasks.{task}.source"
    if isinstance(source, GeneratedData):
        raise ValueError(f"{where}: generated data has no test split; use GLUE's own files or the hub")
    return readers.read_texts(source, grid.row(task), "test", where)


def _answers(grid: Grid, paths: Paths, run: Run, texts: pd.DataFrame) -> tuple[list[object], list[str]]:
    folder, _ = runs.made_model(grid, paths, making(grid, *run.made))
    device, reader = hardware.device_of(grid.study.launch), grid.reads_as(run.system)
    folders, _ = answering.in_study(grid, paths, run.task, run.system.name)
    columns = [texts[name].tolist() for name in ("text_a", "text_b") if name in texts]
    tokens = read_by([*map(Reader.of, folders)], columns, f"test split of {run.task}")
    logits = run_model(load(folder).to(device).logits, tokens, grid.max_tokens(run.task, reader), device=device)
    row = grid.row(run.task)
    return texts["index"].tolist(), glue.written(run.task, row, metrics.predictions(logits, row))
