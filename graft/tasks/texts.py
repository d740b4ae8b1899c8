"""Unlabelled texts: of a study's train splits, or of a file."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd


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
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not a readable text file in UTF-8 ({error})") from None
    if not lines:
        raise ValueError(f"{path}: holds no text; one text per line is needed")
    rows = [line.split("\t") for line in lines]
    if len({len(row) for row in rows}) > 1 or len(rows[0]) > 2:
        raise ValueError(f"{path}: lines must hold one text each, or all of them two with one tab between")
    return [list(column) for column in zip(*rows, strict=True)]
