"""What a task's TSV file seems to hold: its columns of text and label, and whether labels are classes or a score."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from graft.tasks.table import TaskRow

LABEL_NAMES = ("label", "labels", "score", "class", "target", "rating", "stars", "similarity", "gold_label")
PAIR_NAMES = (
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("premise", "hypothesis"),
    ("question", "sentence"),
    ("question", "passage"),
    ("text_a", "text_b"),
    ("text1", "text2"),
)
TEXT_NAMES = ("sentence", "text")
ID_NAMES = ("id", "idx", "index", "guid", "pairid")
# More different whole numbers than that are a score.
MOST_CLASSES = 20
BY_HAND = "write the task's `text`, `label`, `labels` and `metrics` by hand (config.yaml explains them)"


def guess_row(table: pd.DataFrame, file: object) -> TaskRow:
    """Columns, classes and metrics of the task whose train split is `table` (all values strings).

    Names that many data sets use go first, then what the values look like. Raises ValueError, naming `file`, where
    that leaves a choice.
    """
    if table.shape[1] < 2:
        raise ValueError(f"{file}: only one column, {table.columns[0]!r}; columns are separated by tabs")
    if table.empty:
        raise ValueError(f"{file}: the split is empty; at least one row is needed")
    label = _label_column(table, file)
    text = _text_columns(table.drop(columns=label), file)
    labels = _classes(table[label], file)
    if labels is None:
        metrics = ("correlation", "pearson", "spearman")
    else:
        metrics = ("accuracy", "f1" if len(labels) == 2 else "f1_macro")
    return TaskRow(text=text, label=label, labels=labels, metrics=metrics)


def in_words(row: TaskRow, table: pd.DataFrame) -> str:
    """One line on what was guessed: columns, kind of label, and how often each class stands in `table`."""
    columns = f"text in {_listed(row.text)}; label in {row.label}"
    if row.labels is None:
        numbers = pd.to_numeric(table[row.label])
        return f"{columns}, a score from {numbers.min():g} to {numbers.max():g}"
    shares = table[row.label].value_counts(normalize=True)
    return f"{columns}, {len(row.labels)} classes ({_listed(f'{name} {shares[name]:.0%}' for name in row.labels)})"


def _label_column(table: pd.DataFrame, file: object) -> str:
    named = [column for column in table if column.lower() in LABEL_NAMES]
    found = named or [column for column in table if not _is_text(table[column]) and not _is_id(table[column])]
    if len(found) == 1:
        return found[0]
    which = f"several columns may hold the label ({_listed(found)})" if found else "no column looks like a label"
    raise ValueError(f"{file}: {which} among {_listed(table)}; name one of them label, or {BY_HAND}")


def _text_columns(table: pd.DataFrame, file: object) -> tuple[str, ...]:
    by_name = {column.lower(): column for column in table}
    for names in (*PAIR_NAMES, *((name,) for name in TEXT_NAMES)):
        if all(name in by_name for name in names):
            return tuple(by_name[name] for name in names)
    found = tuple(column for column in table if _is_text(table[column]))
    if len(found) in (1, 2):
        return found
    which = f"{len(found)} columns hold text ({_listed(found)})" if found else f"no text column in {_listed(table)}"
    wanted = "name one sentence, or two sentence1 and sentence2"
    raise ValueError(f"{file}: {which}; {wanted}, or {BY_HAND}")


def _classes(values: pd.Series, file: object) -> tuple[str, ...] | None:
    """Class names in the order of their ids, numbers by size; None for a score."""
    names = pd.Series(values.unique())
    numbers = pd.to_numeric(names, errors="coerce")
    where = f"{file}: the label column {values.name}"
    if blank := int(values.str.strip().eq("").sum()):
        raise ValueError(f"{where} is empty in {blank} rows; every row needs a label")
    if len(names) == 1:
        raise ValueError(f"{where} holds only {names[0]!r}; two classes or more are needed, or a score")
    if numbers.isna().any():
        if len(names) > MOST_CLASSES:
            odd = names[numbers.isna()].iloc[0]
            raise ValueError(f"{where} has {len(names)} values that are not all numbers ({odd!r}); {BY_HAND}")
        return tuple(sorted(names))
    if len(names) > MOST_CLASSES or (numbers % 1 != 0).any():
        return None
    return tuple(names[numbers.sort_values().index])


def _is_text(column: pd.Series) -> bool:
    return column.str.strip().str.contains(" ", regex=False).mean() > 0.5


def _is_id(column: pd.Series) -> bool:
    return column.name.lower() in ID_NAMES or (column.is_unique and column.str.isdigit().all())


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
