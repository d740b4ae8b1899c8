"""Turn another data set into a report split on which the systems of a task are evaluated."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from graft.config.sources import recorded
from graft.config.transfer import Transfer
from graft.io import files
from graft.registry.tasks import TaskRow
from graft.tasks.labels import written
from graft.tasks.prepare import balance, limited, readable, write_splits
from graft.tasks.readers import read_table, rows_of

# Placeholders for rows without an agreed label: -1 in SNLI on the hub, a dash in its original files.
UNLABELLED = ("-1", "-")


def prepare_transfer(name: str, transfer: Transfer, trained_on: TaskRow, out: Path, fingerprint: str) -> dict[str, Any]:
    """Write report and, separately, its labels (as classes of the task) into folder `out`; return the manifest.

    `name`: the key under `transfer`; `trained_on`: the row of the task whose systems are evaluated.
    """
    with files.atomic_folder(out) as folder:
        report, published, dropped = read_report(name, transfer, trained_on, folder)
        facts = {
            "transfer": name,
            "from": transfer.task,
            "fingerprint": fingerprint,
            "source": recorded(transfer.source),
            "split": transfer.split,
            "text": transfer.text,
            "labels": transfer.labels,
            "rows": {"published": published, "dropped_since_unlabelled": dropped, "report": len(report)},
            "label_balance": {"report": balance(report["label"], trained_on)},
        }
        return write_splits({"report": report}, folder, facts)


def read_report(
    name: str, transfer: Transfer, trained_on: TaskRow, folder: Path | None = None
) -> tuple[pd.DataFrame, int, int]:
    """Return columns `id`, `text_a`, (`text_b`,) `label`; and the numbers of published and of unlabelled rows.

    `folder`: where to keep generated data (discarded if None). Raises ValueError as `read_split` does, and for a label
    value that `labels` does not map.
    """
    where, row = f"transfer.{name}", transfer.row(trained_on)
    with tempfile.TemporaryDirectory() as temporary:
        source = readable(transfer.source, folder or Path(temporary))
        file, table = read_table(source, transfer.split, f"{where}.source")
        published = len(table)
        if transfer.labels is not None and row.label in table:
            table = as_classes(table, row.label, transfer.labels, file, where)
        report = rows_of(table, row, file, transfer.split)
    return limited(report, transfer.limits.report), published, published - len(report)


def as_classes(table: pd.DataFrame, column: str, labels: Mapping[str, str], file: object, where: str) -> pd.DataFrame:
    """Return the labelled rows of a table, with label values replaced by their classes in `labels`.

    Raises ValueError naming file, row and value if a value is not in `labels`, or if no row is labelled.
    """
    values = table[column].map(lambda value: value if value in labels else written(value))
    unlabelled = values.isin([value for value in UNLABELLED if value not in labels])
    unknown = ~unlabelled & ~values.isin(list(labels))
    if unknown.any():
        number = unknown.idxmax()
        raise ValueError(
            f"{file}: row {number + 1} has the label {values[number]!r}, but {where}.labels maps only "
            f"{', '.join(labels)}"
        )
    if len(table) and unlabelled.all():
        raise ValueError(f"{file}: all labels are {values.iloc[0]}, so the split is unlabelled; use a labelled one")
    return table[~unlabelled].assign(**{column: values[~unlabelled].map(dict(labels))})
