"""Parse labels from files: class names, class ids, scores. Imports no torch."""

import re
from collections.abc import Collection
from decimal import Decimal
from numbers import Real

import numpy as np
import pandas as pd

from graft.registry.tasks import TaskRow

# Integers are written as floats if the column once had a missing value.
_WHOLE = re.compile(r"(-?\d+)\.0+")
_SEVERAL = re.compile(r"\[.*\]|\{.*\}|\(.*\)", re.DOTALL)
_JOINTS = re.compile(r"[,;|/\n ]+")
ONE_LABEL = "several labels per row are not supported; give each row one label"


def written(value: object) -> str:
    """Normalise a label: strip surrounding white space, and the fraction `.0` of whole numbers."""
    text = str(value).strip()
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def read(column: pd.Series, row: TaskRow, name: object, split: str) -> pd.Series:
    """Parse a column into class ids (int64) or scores (float64) [n]; raises ValueError naming file, row and value."""
    column = column.reset_index(drop=True).astype(object)
    # Parse each distinct value once: there are few.
    texts = column.map(str)
    if len(texts) and all(written(text) == "-1" for text in texts.unique()):
        raise ValueError(f"{name}: all labels are -1, so the split is unlabelled; use a labelled one for {split}")
    values, wanted = _scores(column) if row.labels is None else _classes(texts, row.labels)
    values = values.mask(column.isna())
    if (bad := values.isna()).any():
        at = int(bad.idxmax())
        given = column[at]
        if lacks(given):
            missing = int(column.map(lacks).sum())
            raise ValueError(f"{name}: row {at + 1} has no label ({missing} in all); leave out rows without a label")
        if is_several(given, {*(row.labels or ()), *map(str, range(row.outputs))}):
            raise ValueError(f"{name}: row {at + 1} has the labels {written(given)!r}; {ONE_LABEL}")
        raise ValueError(f"{name}: row {at + 1} has the label {str(given)!r}; it should be {wanted}")
    if row.labels is not None:
        return values.astype("int64")
    if unlabelled := minus_ones(values):
        raise ValueError(
            f"{name}: {unlabelled} rows have the score -1 and no other score is negative, so they count as unlabelled; "
            "leave them out"
        )
    return values.astype("float64")


def check_variety(values: pd.Series, row: TaskRow, name: object, split: str) -> None:
    """Raise ValueError if a split's class ids or scores are too uniform to train on or to evaluate with.

    A class without a row in train cannot be learned and is often a mistake in `labels`; dev may lack a rare class.
    """
    if row.labels is None:
        if values.nunique() == 1 and len(values) > 1:
            raise ValueError(f"{name}: all scores are {values.iloc[0]:g}; scores must differ between rows")
        return
    present = set(values)
    missing = [label for i, label in enumerate(row.labels) if i not in present]
    if missing and (split == "train" or len(present) == 1):
        found = f"has only {row.labels[values.iloc[0]]!r}" if len(present) == 1 else f"has no row of {missing[0]!r}"
        should = "every class needs a row" if split == "train" else "two classes or more are needed"
        raise ValueError(f"{name}: the label column {row.label} {found}; {should}")


def lacks(value: object) -> bool:
    """Whether a cell is blank or a missing value."""
    return value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA or str(value).strip() == ""


def is_several(value: object, known: Collection[str]) -> bool:
    """Whether a cell holds several labels: a list, or known labels joined by separators."""
    if isinstance(value, list | tuple | set | dict | np.ndarray) or _SEVERAL.fullmatch(str(value).strip()):
        return True
    parts = [part for part in _JOINTS.split(str(value).strip()) if part]
    return len(parts) > 1 and all(part in known for part in parts)


def minus_ones(values: pd.Series) -> int:
    """Count scores of -1 that mean a missing label; 0 unless no other score is negative and some are fractions."""
    others = values[values.ne(-1)]
    return 0 if others.lt(0).any() or not (others % 1).any() else int(values.eq(-1).sum())


def _scores(column: pd.Series) -> tuple[pd.Series, str]:
    numbers = column.map(lambda value: float(value) if isinstance(value, Real | Decimal) else str(value))
    values = pd.to_numeric(numbers, errors="coerce").astype(float)
    return values.where(values.abs().lt(float("inf"))), "a number, with a point before its fraction"


def _classes(texts: pd.Series, labels: tuple[str, ...]) -> tuple[pd.Series, str]:
    known = {name: i for i, name in enumerate(labels)}
    wanted = f"one of {', '.join(labels)}"
    ids = {str(i): i for i in range(len(labels))}
    # Classes named by numbers (1 to 5 stars) are read by name only, not by id.
    if known.keys().isdisjoint(ids):
        known |= ids
        wanted += f" (or 0 to {len(ids) - 1})"

    def found(text: str) -> int | None:
        return next((known[way] for way in (text, text.strip(), written(text)) if way in known), None)

    return texts.map({text: found(text) for text in texts.unique()}).astype(float), wanted
