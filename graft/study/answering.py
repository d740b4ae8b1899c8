"""Use a saved system: texts in, labels and scores out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from graft.config.study import load as load_study
from graft.encoders.inference import run
from graft.io import files, hub
from graft.io.model_folders import CONFIG
from graft.merging import loading
from graft.merging.composite import manifest
from graft.merging.predictors import Predictor
from graft.registry.shapes import Shape
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.tasks.vocabularies import Reader, read_by

# Beside a system that stands alone: what its files do not tell of its task.
FILE = "task.json"
# Folder of a composite's tokenizer, with the config of a model that it is for; a classifier's is beside its weights.
TOKENIZER = "tokenizer"
# The same of its small model, if that reads other tokens.
SMALL_TOKENIZER = "tokenizer-small"
Text = str | tuple[str, str]


@dataclass(frozen=True)
class Reading:
    """How a system reads texts, and what its outputs are.

    `labels`: names of the classes, None for a score. `texts`: per example, 1 or 2; None if that is not known.
    `max_tokens`: longer texts are truncated. `exclusive`: whether exactly one label is true.
    """

    labels: tuple[str, ...] | None
    texts: int | None
    max_tokens: int
    exclusive: bool = True

    def write(self, folder: Path, *tokenizers: Path) -> None:
        """Write what a system in `folder` needs to stand alone; `tokenizers`: folders of models that have them, of the
        large one and, if the system reads that one's too, of the small one."""
        files.write_json(folder / FILE, asdict(self))
        places = [folder] if (folder / CONFIG).is_file() else [folder / TOKENIZER, folder / SMALL_TOKENIZER]
        for tokenizer, place in zip(tokenizers, places, strict=False):
            place.mkdir(exist_ok=True)
            files.copy_into(tokenizer, place, files.TOKENIZER if place == folder else (*files.TOKENIZER, CONFIG))


@dataclass(frozen=True)
class System:
    """A saved system of any kind, ready for texts. `readers`: of the large model and, if it reads other tokens and both
    run, of the small one."""

    predictor: Predictor
    readers: tuple[Reader, ...]
    reading: Reading
    device: str = "cpu"

    @classmethod
    def of(cls, predictor: Predictor, tokenizers: Sequence[Path], reading: Reading) -> Self:
        """A system whose tokenizers are in folders, with a model's config."""
        return cls(predictor, tuple(map(Reader.of, tokenizers)), reading)

    def __call__(self, texts: Sequence[Text]) -> list[dict[str, Any]]:
        """Label texts, or pairs of texts: `{"label", "score"}` for each, as transformers' pipeline does.

        The score of a class is its softmax (its sigmoid, if several may be true), which is calibrated for no system; a
        task without classes has the label "score" and its value. Raises ValueError for another number of texts than the
        system reads, or a text that the tokenizer does not know.
        """
        logits, labels = torch.from_numpy(self.logits(texts)), self.reading.labels
        if labels is None:
            return [{"label": "score", "score": float(value)} for value in logits[:, 0]]
        scores = logits.softmax(dim=1) if self.reading.exclusive else logits.sigmoid()
        best = scores.argmax(dim=1)
        return [{"label": labels[i], "score": float(row[i])} for row, i in zip(scores, best.tolist(), strict=True)]

    def logits(self, texts: Sequence[Text]) -> np.ndarray:
        """Outputs [texts, classes], or scores [texts, 1], float32; raises ValueError as a call does."""
        columns = _columns(texts, self.reading.texts)
        if not columns:
            return np.empty((0, len(self.reading.labels or ("score",))), np.float32)
        tokens = read_by(self.readers, columns, "texts")
        return run(self.predictor.logits, tokens, self.reading.max_tokens, device=self.device)

    def to(self, device: str) -> Self:
        """This system, moved to a device."""
        return replace(self, predictor=self.predictor.to(device), device=device)


def load(folder: str | Path) -> System:
    """Load any saved system: one that `export` wrote, a run's of a study, a merged model, or a classifier.

    folder: a folder, or `owner/repo[@revision]` on the hub. Raises ValueError if it holds no system, or does not say
    what its outputs mean.
    """
    folder = hub.local(folder)
    folder = folder / "model" if (folder / "model").is_dir() else folder
    predictor = loading.load(folder)
    if (folder / FILE).is_file():
        told = files.read_json(folder / FILE)
        labels = None if told["labels"] is None else tuple(told["labels"])
        places = [place for name in (TOKENIZER, SMALL_TOKENIZER) if (place := folder / name).is_dir()] or [folder]
        return System.of(predictor, places, Reading(**{**told, "labels": labels}))
    if own := _of_study(folder.resolve()):
        return System.of(predictor, *own)
    if (folder / manifest.FILE).is_file():
        raise ValueError(f"{folder}: does not say what its outputs mean; `export` it from its study, and load that")
    # As transformers reads it: one output is a score if the config says so, else one label that may be false.
    config: Any = predictor.modules[0].config
    labels = tuple(config.id2label[i] for i in range(config.num_labels))
    exclusive = len(labels) > 1 and config.problem_type != "multi_label_classification"
    named = None if config.problem_type == "regression" else labels
    return System.of(predictor, [folder], Reading(named, None, Shape.of(folder).positions, exclusive))


def in_study(grid: Grid, paths: Paths, task: str, system: str) -> tuple[list[Path], Reading]:
    """The folders of the tokenizers with which a study's system reads a task, and how it does."""
    row, spec = grid.row(task), grid.systems[system]
    model, both = grid.reads_as(spec), grid.runs_both(spec)
    tokenizers = map(grid.study.tokenizer_of, (both.large, both.small) if both else (model,))
    return [*map(paths.model, tokenizers)], Reading(row.labels, len(row.text), grid.max_tokens(task, model))


def _of_study(folder: Path) -> tuple[list[Path], Reading] | None:
    """As `in_study`, of results/<study>/runs/<task>/<system>/seed-<n>/model; None for any other folder."""
    if len(folder.parents) < 5 or not (study := Paths(folder.parents[4]).study).is_file():
        return None
    grid, paths = Grid(load_study(study)), Paths(study.parent)
    system = folder.parents[1].name
    if system not in grid.systems or folder.parents[3].name != "runs":
        return None
    return in_study(grid, paths, folder.parents[2].name, system)


def _columns(texts: Sequence[Text], wanted: int | None) -> list[list[str]]:
    """Texts as one column, or pairs as two; raises ValueError unless all have as many as wanted."""
    if isinstance(texts, str):
        raise ValueError("texts: one string was given; give a list of texts, or of pairs of texts")
    rows = [tuple(text) if isinstance(text, (tuple, list)) else (text,) for text in texts]
    count = wanted or (len(rows[0]) if rows else 1)
    for number, row in enumerate(rows, start=1):
        if len(row) != count or count > 2 or not all(isinstance(text, str) for text in row):
            each = "one text" if count == 1 else "a pair of texts"
            raise ValueError(f"texts: number {number} is {texts[number - 1]!r}; this system reads {each} each")
    return [list(column) for column in zip(*rows, strict=True)]
