"""The tables of known tasks and of metrics. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

# Metrics by kind of task: classes or a score. Computed in graft/tasks/glue_metrics.
METRICS = {
    "accuracy": "classes",
    "f1": "classes",  # F1 of class 1, as in GLUE for two classes
    "f1_macro": "classes",
    "matthews_correlation": "classes",
    "correlation": "score",
    "pearson": "score",
    "spearman": "score",
}
# The least margin, in the primary metric's units.
MARGIN = 0.01


@dataclass(frozen=True)
class TaskRow:
    """Columns, labels and metrics of a task.

    `text`: one column, or two for a pair. `labels`: class names in the order of their ids, None for a score.
    `metrics`: the first is primary. `groups`: how `select` is kept apart from `train` (see splits.py).
    `aliases`: pairs (column, other name that files may use); `header`: the columns of official TSV files without a
    header. `margin`: a smaller difference in the primary metric counts as equivalent; see `usual_margin`.
    """

    text: tuple[str, ...]
    label: str
    metrics: tuple[str, ...]
    labels: tuple[str, ...] | None = None
    groups: Literal["contained", "shared"] = "shared"
    aliases: tuple[tuple[str, str], ...] = ()
    header: tuple[str, ...] = ()
    margin: float | None = None

    @property
    def kind(self) -> str:
        """`classes` or `score`."""
        return "score" if self.labels is None else "classes"

    @property
    def outputs(self) -> int:
        """Width of the classification head."""
        return 1 if self.labels is None else len(self.labels)

    @property
    def primary_metric(self) -> str:
        return self.metrics[0]

    def replaced(self, **changes: Any) -> TaskRow:
        return replace(self, **changes)


def usual_margin(error: float) -> float:
    """Return the margin for a metric with this standard error on the report split: that, in whole points, at least one.

    A difference that the report split could not show is too small to matter on it.
    """
    return math.ceil(max(error, MARGIN) * 100 - 1e-9) / 100


def error_at(kind: str, rows: int, value: float = 0.8) -> float:
    """Return about the standard error over `rows` examples of an accuracy, or of a correlation, of this value."""
    return math.sqrt(value * (1 - value) / rows) if kind == "classes" else (1 - value**2) / math.sqrt(rows)


# Margins are `usual_margin` of the standard error that fine-tuned BERT-base has on the dev split, to the nearest point.
PAIR = ("sentence1", "sentence2")
ENTAILMENT = ("entailment", "not_entailment")
TASKS = {
    "cola": TaskRow(
        text=("sentence",),
        label="label",
        labels=("unacceptable", "acceptable"),
        metrics=("matthews_correlation", "accuracy"),
        header=("source", "label", "star", "sentence"),
        margin=0.03,
    ),
    "sst2": TaskRow(
        text=("sentence",),
        label="label",
        labels=("negative", "positive"),
        metrics=("accuracy",),
        groups="contained",
        margin=0.01,
    ),
    "mrpc": TaskRow(
        text=PAIR,
        label="label",
        labels=("not_equivalent", "equivalent"),
        metrics=("accuracy", "f1"),
        aliases=(("sentence1", "#1 String"), ("sentence2", "#2 String"), ("label", "Quality")),
        margin=0.02,
    ),
    "stsb": TaskRow(
        text=PAIR,
        label="score",
        labels=None,
        metrics=("correlation", "pearson", "spearman"),
        aliases=(("score", "label"),),  # the hub calls the score `label`
        margin=0.01,
    ),
    "qqp": TaskRow(
        text=("question1", "question2"),
        label="label",
        labels=("not_duplicate", "duplicate"),
        metrics=("accuracy", "f1"),
        aliases=(("label", "is_duplicate"),),
        margin=0.01,
    ),
    "mnli": TaskRow(
        text=("premise", "hypothesis"),
        label="label",
        labels=("entailment", "neutral", "contradiction"),
        metrics=("accuracy",),
        aliases=(("premise", "sentence1"), ("hypothesis", "sentence2"), ("label", "gold_label")),
        margin=0.01,
    ),
    "qnli": TaskRow(
        text=("question", "sentence"), label="label", labels=ENTAILMENT, metrics=("accuracy",), margin=0.01
    ),
    "rte": TaskRow(text=PAIR, label="label", labels=ENTAILMENT, metrics=("accuracy",), margin=0.03),
    "wnli": TaskRow(
        text=PAIR, label="label", labels=("not_entailment", "entailment"), metrics=("accuracy",), margin=0.06
    ),
}

# GLUE on the hub; each task is a config. MNLI has two dev splits: that of train's genres, and that of others.
GLUE: dict[str, str] = {"repo": "nyu-mll/glue", "revision": "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"}
MATCHED = {"train": "train", "dev": "validation_matched", "test": "test_matched"}
MISMATCHED = {"dev": "validation_mismatched", "test": "test_mismatched"}
# Rows of the train splits.
GLUE_ROWS = {
    "cola": 8551,
    "sst2": 67_349,
    "mrpc": 3668,
    "stsb": 5749,
    "qqp": 363_846,
    "mnli": 392_702,
    "qnli": 104_743,
    "rte": 2490,
    "wnli": 635,
}
