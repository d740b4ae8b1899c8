"""The part of a study config that lists other data sets for evaluating its systems. Imports no torch."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from graft.config.section import Name, Positive, Section, Tokens
from graft.config.sources import FileData, GeneratedData, HubData
from graft.io.names import check_known, matches
from graft.registry.layouts import LAYOUTS
from graft.registry.tasks import TaskRow


def _label(value: Any) -> str:
    if isinstance(value, bool | None):
        raise ValueError(f"{str(value).lower()} is not text; write it in quotes, as in the data set")
    return str(value)


# YAML reads 0 and 1.5 as numbers, but labels are compared as text.
LabelValue = Annotated[str, BeforeValidator(_label)]


class TransferLimits(Section):
    """Upper bounds in rows; the rows are drawn with a fixed seed."""

    report: Positive | None = None
    """Rows on which systems are evaluated; by default all."""


class Transfer(Section):
    """`<name>.from-<task>`: the systems trained on one task of the study, evaluated on another data set.

    Each model is taken as it was saved; nothing is trained, fitted or chosen on the other data set.
    """

    task: Name = Field(alias="from")
    """Task of this study on which the systems were trained."""
    source: HubData | FileData | GeneratedData = Field(discriminator="kind")
    """As for a task; only the file of `split` is read."""
    split: Literal["dev", "test"] = "dev"
    """The published split to read: dev (on the hub: validation), or test if its labels are published."""
    text: tuple[str, ...]
    """Text columns, the same number as for the task."""
    label: str
    """Label column."""
    labels: dict[LabelValue, str] | None = None
    """For classes: maps each label value of the data set (name or id) to a class of the task. Rows labelled -1 or - (no
    agreed label) are left out and counted, unless they are mapped here. For a score: leave it out."""
    limits: TransferLimits = TransferLimits()
    max_tokens: Tokens | None = None
    """Maximum input length in tokens for all systems; by default each reads as much as in its fine-tuning."""
    systems: tuple[str, ...] = ("*",)
    """Patterns for the names of the systems to evaluate. Differences need the fine-tuned models too."""

    def row(self, trained_on: TaskRow) -> TaskRow:
        """Return how to read the data set: its own columns, with the classes and metrics of the task."""
        return trained_on.replaced(text=self.text, label=self.label, aliases=())

    def evaluates(self, system: str, ending: str) -> bool:
        """Whether a system is evaluated; `ending`: the suffix that short names of systems omit."""
        return any(matches(system, pattern, ending) for pattern in self.systems)


def full_name(name: str, transfer: Transfer) -> str:
    """Return a transfer's name in paths and tables."""
    return f"{name}.from-{transfer.task}"


def check_transfers(transfers: Mapping[str, Transfer], tasks: Mapping[str, TaskRow]) -> None:
    """Raise ValueError, naming the key, if a transfer does not fit the tasks of the study."""
    for name, transfer in transfers.items():
        where = f"transfer.{name}"
        check_known(f"{where}.from", transfer.task, tasks)
        row = tasks[transfer.task]
        if len(transfer.text) != len(row.text):
            raise ValueError(f"{where}.text: {len(transfer.text)} columns, but {transfer.task} has {len(row.text)}")
        _check_labels(where, transfer, row)
        if isinstance(transfer.source, GeneratedData):
            _check_generated(where, transfer, transfer.source)


def _check_labels(where: str, transfer: Transfer, row: TaskRow) -> None:
    if row.labels is None:
        if transfer.labels is not None:
            raise ValueError(
                f"{where}.labels: {transfer.task} has a score, from which classes cannot be inferred; "
                "name a task with classes, or leave the key out if the data set has scores"
            )
        return
    if not transfer.labels:
        raise ValueError(
            f"{where}.labels: this key is needed; it maps the data set's label values onto {', '.join(row.labels)}"
        )
    for value, label in transfer.labels.items():
        if label not in row.labels:
            raise ValueError(
                f"{where}.labels.{value}: {label!r} is not a class of {transfer.task}; it has {', '.join(row.labels)}"
            )


def _check_generated(where: str, transfer: Transfer, source: GeneratedData) -> None:
    layout = LAYOUTS[source.grammar]
    if transfer.split != "dev":
        raise ValueError(f"{where}.split: {transfer.split}; generated data has only dev")
    for key, columns, known in (("text", transfer.text, layout.text), ("label", (transfer.label,), (layout.label,))):
        for column in columns:
            check_known(f"{where}.{key}", column, known)
    if (layout.labels is None) != (transfer.labels is None):
        has = "a score" if layout.labels is None else "classes"
        raise ValueError(f"{where}.source: {source.grammar} has {has}, unlike {transfer.task}; use another grammar")
    for value in layout.labels or ():
        if value not in (transfer.labels or ()):
            raise ValueError(f"{where}.labels: {value!r}, a label value of {source.grammar}, is missing")
