"""Read unlabelled texts, from a study's train splits or from a file."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as parquet


def train_texts(tables: Sequence[Path]) -> list[str | tuple[str, str]]:
    """Return all texts of the given train splits: strings, or pairs for tasks with two texts."""
    texts: list[str | tuple[str, str]] = []
    for path in tables:
        table = parquet.read_table(path)
        columns = [table[name].to_pylist() for name in ("text_a", "text_b") if name in table.column_names]
        texts += zip(*columns, strict=True) if len(columns) > 1 else columns[0]
    return texts


def read_texts(path: Path) -> list[list[str]]:
    """Read the columns of a text file: one text per line, or pairs separated by a tab.

    Raises ValueError if the file is empty, lines differ in their number of texts, or a column is not text.
    """
    from graft.tasks import tsv  # it imports pandas, which most jobs do without

    lines = tsv.rows(path)
    if not lines:
        raise ValueError(f"{path}: contains no text; one text per line is needed")
    for number, cells in lines:
        if len(cells) != len(lines[0][1]) or len(cells) > 2:
            wanted = "every line needs one text, or every line two, separated by one tab"
            raise ValueError(f"{path}: line {number} has {len(cells)} texts separated by tabs; {wanted}")
    if all(cells[0].startswith("{") and cells[-1].endswith("}") for _, cells in lines):
        raise ValueError(f"{path}: contains JSON, not text; write only the texts, one per line")
    columns = [list(column) for column in zip(*(cells for _, cells in lines), strict=True)]
    if not any(map(str.strip, columns[-1])):
        # Every line ends in a tab.
        columns.pop()
    if len(columns) == 2 and any(map(_is_label, columns)):
        raise ValueError(f"{path}: a column contains labels or numbers ({lines[-1][1]}); keep only texts")
    return columns


def _is_label(column: Sequence[str]) -> bool:
    """Whether cells are numbers, or single words that recur; the first cell may be a header."""
    import pandas as pd

    cells = pd.Series(column[1:] or column, dtype=str).str.strip()
    words = not cells.str.contains(" ", regex=False).any() and cells.nunique() <= len(cells) / 2
    return bool(words or pd.to_numeric(cells, errors="coerce").notna().all())
