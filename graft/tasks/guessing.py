"""Guess the text and label columns of a task's train split, and whether its labels are classes or a score."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd

from graft.io.names import check_known
from graft.registry.tasks import TaskRow
from graft.tasks import labels
from graft.tasks.formats import CLASSES
from graft.tasks.readers import SEPARATORS
from graft.tasks.tsv import numbers_rows

Kind = Literal["classes", "score"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# Label columns with these names often hold grades.
SCORE_NAMES = ("score", "rating", "stars", "similarity")
LABEL_NAMES = ("label", "labels", "class", "target", "gold_label", *SCORE_NAMES)
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
# More distinct numbers than this may be a score.
MOST_CLASSES = 20
# In a train split of this many rows or more, a class with a single row is probably a mistake.
MANY_ROWS = 100
# Placeholders for a missing label.
NO_LABEL = ("-1", "-", "?", "nan", "none", "null", "n/a", "na", "<na>", "#n/a")
BY_HAND = "name them: --columns NAME=TEXT[,TEXT],LABEL"
_SEVERAL_VALUES = (list, tuple, dict, bytes, np.ndarray)
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")


def guess_row(table: pd.DataFrame, file: object, kind: Kind | None = None, columns: Sequence[str] = ()) -> TaskRow:
    """Guess columns, classes and metrics of the task whose train split is `table`.

    Names of classes that the file gives, then column names common in data sets, then the values decide. `kind`: the
    kind of label stated by the user; `columns`: the text columns and the label column, stated by the user. Raises
    ValueError, naming `file`, if the result is ambiguous.
    """
    if table.shape[1] < 2:
        separator = SEPARATORS.get(Path(str(file)).suffix)
        hint = f"; columns are separated by {separator}" if separator else "; a text and a label are needed"
        raise ValueError(f"{file}: the only column is {table.columns[0]!r}{hint}")
    if table.empty:
        raise ValueError(f"{file}: the split has no rows; at least one is needed")
    known = table.attrs.get(CLASSES, {})
    table = as_text(table)
    for column in columns:
        check_known(f"{file}: column", column, table)
    if columns:
        *texts, label = columns
        text = tuple(texts)
    else:
        table = named_columns(table, file)
        label = _label_column(table, file)
        text = _text_columns(table.drop(columns=label), file)
    named = known.get(label, ())
    ids = set(table[label]) <= set(map(str, range(len(named))))
    classes = named if named and ids and kind != "score" else _classes(table[label], file, kind)
    if classes is None:
        metrics: tuple[str, ...] = ("correlation", "pearson", "spearman")
    else:
        metrics = ("accuracy", "f1" if len(classes) == 2 else "f1_macro")
    return TaskRow(text=text, label=label, labels=classes, metrics=metrics)


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns as strings, missing values as "", without columns of lists or bytes."""
    single = [name for name in table if not table[name].map(lambda v: isinstance(v, _SEVERAL_VALUES)).any()]
    return table[single].map(lambda value: "" if labels.lacks(value) else labels.written(value)).astype(str)


def named_columns(table: pd.DataFrame, file: object) -> pd.DataFrame:
    """Drop the columns that number the table's rows, recognised by name or by value.

    Raises ValueError if the first line is not a header or a column has no name.
    """
    for name in table:
        if _is_number(name) or (not _is_text(table[name]) and table[name].eq(name).any()):
            raise ValueError(f"{file}: the first line contains the value {name!r}; it should name the columns")
        if name.startswith("Unnamed: "):
            raise ValueError(f"{file}: column {table.columns.get_loc(name) + 1} has no name; name it or leave it out")
    ids = [name for name in table if name.lower() in ID_NAMES]
    # The last column may be a score.
    others = [
        name for name in table.columns[:-1] if name not in ids and name.lower() not in (*LABEL_NAMES, *TEXT_NAMES)
    ]
    ids += [name for name in others if len(table) > 1 and numbers_rows(table[name])]
    return table.drop(columns=ids)


def check_names(row: TaskRow, file: object, table: pd.DataFrame) -> None:
    """Raise ValueError if a split numbers the classes that train names: which number is which class is unknown."""
    numbers = set(table[row.label].map(labels.written)) - set(row.labels or ())
    if row.labels and (number := min(filter(_is_number, numbers), default=None)) is not None:
        raise ValueError(
            f"{file}: the label column {row.label} contains {number!r}, but train has names "
            f"({', '.join(row.labels[:3])}); write the labels alike in both"
        )


def in_words(row: TaskRow, table: pd.DataFrame) -> str:
    """Describe the guess in one line: columns, kind of label, and the number of rows of `table` in each class."""
    columns = f"text in {', '.join(row.text)}; label in {row.label}"
    values = table[row.label].map(labels.written)
    if row.labels and not set(values) & set(row.labels):
        values = values.map(dict(zip(map(str, range(len(row.labels))), row.labels, strict=True)))
    if row.labels is None:
        numbers = pd.to_numeric(values)
        return f"{columns}, a score from {numbers.min():g} to {numbers.max():g} ({values.nunique()} different values)"
    counts = values.value_counts()
    shown = [f"{name}: {counts.get(name, 0)} rows" for name in row.labels]
    if len(shown) > MOST_CLASSES:
        shown = [f"{counts.index[0]}: {counts.iloc[0]} rows", "…", f"{counts.index[-1]}: {counts.iloc[-1]} rows"]
    return f"{columns}, {len(row.labels)} classes ({', '.join(shown)})"


def _label_column(table: pd.DataFrame, file: object) -> str:
    named = [column for column in table if column.lower() in LABEL_NAMES]
    found = named or [column for column in table if not _is_text(table[column])]
    if len(found) == 1:
        return found[0]
    which = f"several columns may be the label ({', '.join(found)})" if found else "no column looks like a label"
    raise ValueError(f"{file}: {which} among {', '.join(table)}; name one of them label, or {BY_HAND}")


def _text_columns(table: pd.DataFrame, file: object) -> tuple[str, ...]:
    by_name = {column.lower(): column for column in table}
    for names in (*PAIR_NAMES, *((name,) for name in TEXT_NAMES)):
        if all(name in by_name for name in names):
            return tuple(by_name[name] for name in names)
    found = tuple(column for column in table if _is_text(table[column]))
    if len(found) in (1, 2):
        return found
    which = (
        f"{len(found)} columns contain text ({', '.join(found)})" if found else f"no text column in {', '.join(table)}"
    )
    raise ValueError(f"{file}: {which}; rename one to sentence, or two to sentence1 and sentence2, or {BY_HAND}")


def _classes(column: pd.Series, file: object, kind: Kind | None) -> tuple[str, ...] | None:
    """Class names in the order of their ids, numbers by size; None for a score. Raises ValueError if in doubt."""
    where = f"{file}: the label column {column.name}"
    if blank := int(column.str.strip().eq("").sum()):
        raise ValueError(f"{where} is empty in {blank} rows; every row needs a label")
    counts = column.map(labels.written).value_counts()
    if len(counts) == 1:
        raise ValueError(f"{where} contains only {counts.index[0]!r}; two or more classes, or a score, are needed")
    numbers = pd.to_numeric(pd.Series(counts.index, index=counts.index), errors="coerce")
    named = list(numbers[numbers.isna()].index)
    if kind is None:
        _check_single(counts, where)
        doubt = _doubt_of_names(counts, named) if named else _doubt_of_numbers(counts, numbers, str(column.name))
        if doubt := doubt or _doubt_of_any(counts, numbers):
            flags = "--kind classes" if named else "--kind classes or --kind score"
            raise ValueError(f"{where} {doubt}; correct the file, or add {flags}")
    if kind == "score" and named:
        raise ValueError(f"{where} contains {named[0]!r}, which is not a number and so not a score; use --kind classes")
    if kind == "score" or (kind is None and (numbers % 1).any()):
        return None
    return tuple(sorted(counts.index) if named else numbers.sort_values(kind="stable").index)


def _check_single(counts: pd.Series, where: str) -> None:
    """Raise ValueError if a row has several labels: a list, or other rows' labels joined; or a decimal comma."""
    known = set(counts.index)
    for name in counts.index:
        if _DECIMAL_COMMA.fullmatch(name):
            point = "write decimals with a point, and one label per row"
            raise ValueError(f"{where} contains {name!r}; {point}")
        if labels.is_several(name, known):
            raise ValueError(f"{where} contains {name!r}; {labels.ONE_LABEL}")


def _doubt_of_names(counts: pd.Series, named: list[str]) -> str | None:
    """Say why labels that are not all numbers may not be classes; None if nothing suggests so."""
    missing = next((name for name in counts.index if name.lower() in NO_LABEL), None)
    if missing is not None:
        return f"contains {missing!r} in {counts[missing]} rows, which often means no label"
    if len(counts) > MOST_CLASSES and len(named) < len(counts):
        return f"has {len(counts)} values that are not all numbers ({named[0]!r})"
    if len(counts) > MOST_CLASSES and counts.sum() < 2 * len(counts):
        return f"has {len(counts)} different values in {counts.sum()} rows"
    return None


def _doubt_of_numbers(counts: pd.Series, numbers: pd.Series, name: str) -> str | None:
    """Say why whole numbers may not be classes, or fractions not a score; None if nothing suggests so."""
    fractions = bool((numbers % 1).any())
    # Classes -1 and 1 are as common as 0 and 1.
    if labels.minus_ones(numbers) or ("-1" in counts and not fractions and set(counts.index) != {"-1", "1"}):
        return f"contains -1 in {counts['-1']} rows, which often means no label"
    graded = name.lower() in SCORE_NAMES and len(counts) > 2
    if not fractions and (graded or len(counts) > MOST_CLASSES):
        return f"contains {len(counts)} different whole numbers from {numbers.min():g} to {numbers.max():g}"
    return None


def _doubt_of_any(counts: pd.Series, numbers: pd.Series) -> str | None:
    """Say why some classes may be mistakes: they differ only in case or in how a number is written, or have one row."""
    if (numbers % 1).any():
        return None
    seen: dict[object, str] = {}
    for name in counts.index:
        other = seen.setdefault(name.lower() if pd.isna(numbers[name]) else numbers[name], name)
        if other != name:
            return f"contains both {other!r} and {name!r}"
    once = counts[counts == 1]
    if len(once) and counts.sum() >= MANY_ROWS:
        return f"contains {once.index[0]!r} in only one row of {counts.sum()}"
    return None


def _is_text(column: pd.Series) -> bool:
    return column.str.strip().str.contains(" ", regex=False).mean() > 0.5


def _is_number(value: str) -> bool:
    return bool(re.fullmatch(r"[-+]?\d+([.,]\d+)?", value))
