"""Unlabelled texts of a study, for training without labels."""

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
