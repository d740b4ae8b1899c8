"""The tables of known tasks and of metrics. Imports no torch."""

from __future__ import annotations

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


@dataclass(frozen=True)
class TaskRow:
    """Columns, labels and metrics of a task.

    `text`: one column, or two for a pair. `labels`: class names in the order of their ids, None for a score.
    `metrics`: the first is primary. `groups`: how `select` is kept apart from `train` (see splits.py).
    `aliases`: pairs (column, other name that files may use). `margin`: a smaller difference in the primary metric
    counts as equivalent.
    """

    text: tuple[str, ...]
    label: str
    metrics: tuple[str, ...]
    labels: tuple[str, ...] | None = None
    groups: Literal["contained", "shared"] = "shared"
    aliases: tuple[tuple[str, str], ...] = ()
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


TASKS = {
    "sst2": TaskRow(
        text=("sentence",),
        label="label",
        labels=("negative", "positive"),
        metrics=("accuracy",),
        groups="contained",
        margin=0.01,
    ),
    "stsb": TaskRow(
        text=("sentence1", "sentence2"),
        label="score",
        labels=None,
        metrics=("correlation", "pearson", "spearman"),
        aliases=(("score", "label"),),  # the hub calls the score `label`
        margin=0.01,
    ),
    "rte": TaskRow(
        text=("sentence1", "sentence2"),
        label="label",
        labels=("entailment", "not_entailment"),
        metrics=("accuracy",),
        margin=0.03,
    ),
}
