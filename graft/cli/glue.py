"""Write submissions to GLUE's server: a zip of eleven TSV files, one per test set. Does not import torch.

Layout, labels and numbers of rows are those of gluebenchmark.com (Wang et al. 2019, GLUE, arXiv 1804.07461).
"""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from graft.io.files import atomic_file
from graft.registry.tasks import TASKS, TaskRow

# A fixed time, so that the same predictions give the same bytes.
_TIME = (1980, 1, 1, 0, 0, 0)


class TestSet(NamedTuple):
    """The number of rows of a published test set, and the constant prediction used if no model answers it."""

    rows: int
    constant: str


TEST_SETS: Mapping[str, TestSet] = {
    "CoLA": TestSet(1063, "0"),
    "SST-2": TestSet(1821, "0"),
    "MRPC": TestSet(1725, "1"),
    "STS-B": TestSet(1379, "2.500"),
    "QQP": TestSet(390_965, "0"),
    "MNLI-m": TestSet(9796, "entailment"),
    "MNLI-mm": TestSet(9847, "entailment"),
    "QNLI": TestSet(5463, "entailment"),
    "RTE": TestSet(3000, "entailment"),
    "WNLI": TestSet(146, "0"),
    "AX": TestSet(1104, "entailment"),
}
# GLUE's names for tasks of the task table.
NAMES: Mapping[str, str] = {
    "cola": "CoLA",
    "sst2": "SST-2",
    "mrpc": "MRPC",
    "stsb": "STS-B",
    "qqp": "QQP",
    "mnli": "MNLI-m",
    "qnli": "QNLI",
    "rte": "RTE",
    "wnli": "WNLI",
}
# Tasks whose classes are written as numbers.
_NUMBERED = ("cola", "sst2", "mrpc", "qqp", "wnli")


def written(task: str, row: TaskRow, predictions: np.ndarray) -> list[str]:
    """Format class ids or scores [n] as GLUE expects them: class numbers or names, or scores from 0 to 5.

    Raises ValueError if the published task lacks a class.
    """
    if row.labels is None:
        return [f"{score:.3f}" for score in np.clip(predictions, 0, 5)]
    names = TASKS[task].labels or ()
    numbers = {name: str(i) for i, name in enumerate(names)}
    # A study may name the classes by their numbers.
    known = [name for name in row.labels if name in (*names, *numbers.values())]
    if len(known) < len(row.labels):
        raise ValueError(f"tasks.{task}.labels: {list(row.labels)} differ from GLUE's, which are {', '.join(names)}")
    named = [name if name in names else names[int(name)] for name in known]
    answers = [numbers[name] if task in _NUMBERED else name for name in named]
    return [answers[label] for label in predictions]


def write(path: str | Path, answers: Mapping[str, tuple[Sequence[object], Sequence[str]]]) -> None:
    """Write the zip atomically. answers: index and prediction of each row by test set; others get their constant."""
    with atomic_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (rows, constant) in TEST_SETS.items():
            index, predictions = answers.get(name, (range(rows), [constant] * rows))
            lines = [f"{i}\t{answer}\n" for i, answer in zip(index, predictions, strict=True)]
            info = zipfile.ZipInfo(f"{name}.tsv", _TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, "index\tprediction\n" + "".join(lines))
