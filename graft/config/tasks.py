"""The part of a study config about tasks: where the rows of each come from, and how they are read. Imports no torch."""

from typing import Literal

from pydantic import Field

from graft.config.section import Few, Positive, Section
from graft.config.sources import FileData, GeneratedData, HubData
from graft.io.names import check_known
from graft.registry.layouts import LAYOUTS
from graft.registry.tasks import METRICS, TASKS, TaskRow


class Limits(Section):
    """Maximum numbers of rows, drawn with a fixed seed."""

    train: Positive | None = None
    """Rows kept for training, after `select` has been carved out."""
    select: Positive = 1000
    """Rows carved out of the published train split for making choices (never more than a tenth of it)."""
    report: Positive | None = None
    """Rows of the published dev split; where there is none, rows carved out of train (at most a fifth of it)."""


class Task(Section):
    """A data set and its metrics. GLUE's tasks need only a source; others must name their columns."""

    source: HubData | FileData | GeneratedData = Field(discriminator="kind")
    limits: Limits = Limits()
    seeds: Few | None = None
    """Only this number of the study's seeds, from the first on; by default all. Encoders merged from all tasks have as
    many as the task with the fewest."""
    text: tuple[str, ...] | None = None
    """Text columns: one, or two for a pair of sentences."""
    label: str | None = None
    """Label column."""
    labels: tuple[str, ...] | None = None
    """Class names in the order of their ids; leave it out for a score."""
    metrics: tuple[str, ...] | None = None
    """Metrics to report; the first is the primary one, by which choices are made."""
    groups: Literal["contained", "shared"] | None = None
    """How `select` is kept apart from `train`: no phrase inside another (contained), or no text in both (shared)."""

    def row(self, name: str) -> TaskRow:
        """Return the task table's row for `name`, overridden by this section's columns and metrics."""
        given = {k: v for k, v in self.model_dump().items() if k in TaskRow.__dataclass_fields__ and v is not None}
        if name in TASKS:
            return TASKS[name].replaced(**given)
        missing = [key for key in ("text", "label", "metrics") if key not in given]
        if missing:
            raise ValueError(
                f"{name!r} is not one of the known tasks ({', '.join(TASKS)}), so it also needs {', '.join(missing)}"
            )
        return TaskRow(**given)


def check_task(name: str, task: Task) -> TaskRow:
    """Return a task's row; raises ValueError, naming the key, if its values do not fit together."""
    where = f"tasks.{name}"
    try:
        row = task.row(name)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if isinstance(task.source, GeneratedData):
        _check_generated(where, task.source.grammar, row)
    elif task.source.named("train") is None:
        raise ValueError(f"{where}.source.splits: names no train; give the name of the split to train on")
    for metric in row.metrics:
        check_known(f"{where}.metrics", metric, METRICS)
        if METRICS[metric] != row.kind:
            raise ValueError(f"{where}.metrics: {metric} needs {METRICS[metric]}, but the task has {row.kind}")
    if "f1" in row.metrics and len(row.labels or ()) != 2:
        raise ValueError(f"{where}.metrics: f1 is for two classes; use f1_macro")
    if row.groups == "contained" and len(row.text) != 1:
        raise ValueError(f"{where}.groups: contained is for tasks with one text; use shared")
    if len(row.text) not in (1, 2):
        raise ValueError(f"{where}.text: {len(row.text)} columns; name one, or two for a pair")
    if row.labels is not None and len(set(row.labels)) < max(2, len(row.labels)):
        raise ValueError(f"{where}.labels: {list(row.labels)}; give two or more different names")
    return row


def _check_generated(where: str, grammar: str, row: TaskRow) -> None:
    layout = LAYOUTS[grammar]
    for column in row.text:
        check_known(f"{where}.text", column, layout.text)
    check_known(f"{where}.label", row.label, (layout.label,))
    if layout.labels is None:
        if row.labels is not None:
            raise ValueError(f"{where}.labels: {grammar} has a score, not classes; leave the key out")
        return
    # Classes may be written by name or by number.
    given = row.labels or ()
    if len(given) != 2 or not {"0", "1", *given}.issuperset(layout.labels):
        raise ValueError(f"{where}.labels: {grammar} has two classes, written {' and '.join(layout.labels)}")
