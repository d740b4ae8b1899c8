"""Copy a system of a study into a folder that stands alone: to be used elsewhere, or published on the hub."""

from pathlib import Path

from graft.cli import cards
from graft.io import files
from graft.merging.card import CARD
from graft.merging.composite import manifest
from graft.study import answering, records, runs
from graft.study.grid import Grid, Run
from graft.study.paths import Paths
from graft.study.steps.making import making


def export(grid: Grid, paths: Paths, run: Run, out: Path) -> None:
    """Write the model of a run, its parts, tokenizer, task, build.json and card into a new folder.

    Raises ValueError if `out` exists, or if the model was not kept, was changed, or lacks a part.
    """
    files.check_new(out)
    model, built = runs.made_model(grid, paths, making(grid, *run.made))
    task, system, seed = run.made
    tokenizers, reading = answering.in_study(grid, paths, task, system)
    text, record = cards.page(grid, paths, built, alone=True), model.parent / "run.json"
    if record.is_file():
        text = cards.completed(grid, text, records.read(record))
    with files.atomic_folder(out, new=True) as folder:
        manifest.gather(model, folder)
        files.copy_into(model.parent, folder, ["build.json"])
        reading.write(folder, *tokenizers)
        (folder / CARD).write_text(text)
