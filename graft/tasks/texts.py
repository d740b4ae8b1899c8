"""Unlabelled texts: of a study's train splits, or of a file."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from graft.tasks import tsv


def train_texts(tables: Sequence[Path]) -> list[str | tuple[str, str]]:
    """All texts of some train splits, without labels: strings, or pairs where a task has two texts."""
    texts: list[str | tuple[str, str]] = []
    for path in tables:
        table = pd.read_parquet(path)
        if "text_b" in table:
            texts += list(zip(table["text_a"], table["text_b"], strict=True))
        else:
            texts += table["text_a"].tolist()
    return texts


def read_texts(path: Path) -> list[list[str]]:
    """Columns of a text file: one text per line, or pairs with a tab between; raises ValueError where lines differ."""
    lines = tsv.rows(path)
    if not lines:
        raise ValueError(f"{path}: holds no text; one text per line is needed")
    for number, cells in lines:
        if len(cells) != len(lines[0][1]) or len(cells) > 2:
            raise ValueError(
                f"{path}: line {number} holds {len(cells)} texts and line {lines[0][0]} {len(lines[0][1])}; lines must "
                "hold one text each, or all of them two with one tab between"
            )
    columns = [list(column) for column in zip(*(cells for _, cells in lines), strict=True)]
    for column in columns:
        # The first may be a header's.
        if pd.to_numeric(pd.Series(column[1:] or column, dtype=str), errors="coerce").notna().all():
            raise ValueError(f"{path}: a column holds numbers, not text ({column[-1]!r}); leave labels and ids out")
    return columns
