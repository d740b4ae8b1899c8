"""Read TSV files: a header, one row per line, cells unquoted as in GLUE or quoted as by pandas.

Whether quotation marks are text or quoting is decided from the whole file; ambiguous files are refused. Imports no
torch.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from graft.io import plain_text

# A row: its line number and its cells.
Record = tuple[int, list[str]]
# A quoted cell: quotation marks in its text are doubled.
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_UNNAMED = re.compile(r"(Unnamed: \d.*)?")
TABS = "a row is one line, with one tab between columns and none within a text"
# In files written this way, quotation marks are unambiguous.
QUOTE_ALL = "write it with all cells quoted (pandas: to_csv(sep='\\t', index=False, quoting=csv.QUOTE_ALL))"


def read_tsv(path: str | Path, header: Sequence[str] = ()) -> pd.DataFrame:
    """Read all columns as strings, rows numbered from 0; unnamed columns that number the rows are left out.

    `header`: the names of the columns of a file that may lack its first line, as GLUE's CoLA does. Raises ValueError
    naming file and line for encodings other than UTF-8, rows of unequal length, a header that lacks a column or names
    one twice, and quotation marks that could be text or quoting.
    """
    first = plain_text.read(path).split("\n", 1)[0].rstrip("\r").split("\t") if header else []
    if first and len(first) == len(header) and not set(first) & set(header):
        return table_of(path, [(0, list(header)), *rows(path)], TABS)
    return table_of(path, rows(path, header=True), TABS)


def table_of(path: str | Path, records: Sequence[Record], rule: str) -> pd.DataFrame:
    """Return the rows under a header as `read_tsv` does; `rule`: how to write a row, for errors."""
    if not records:
        raise ValueError(f"{path}: is empty; a header line and at least one row are needed")
    names, cells = _columns(path, records, rule)
    table = pd.DataFrame(cells, columns=range(len(names)), dtype=str)
    kept = [i for i, name in enumerate(names) if not (_UNNAMED.fullmatch(name) and numbers_rows(table[i]))]
    table = table[kept]
    table.columns = [names[i] or f"Unnamed: {i}" for i in kept]
    return table


def rows(path: str | Path, header: bool = False) -> list[Record]:
    """Return number and cells of every line that is not blank; raises ValueError as `read_tsv` does.

    Without a header, lines that could be quoted are read unquoted unless they hold doubled quotation marks.
    """
    text = plain_text.read(path)
    plain = [(i, line.split("\t")) for i, line in enumerate(plain_text.lines(text), 1) if line.strip(" ")]
    if '"' not in text:
        return plain
    if _uneven(plain):
        quoted = _parsed(text)
        if not quoted or _uneven(quoted):
            return plain
        if any("\t" in cell and "\n" in cell for _, cells in quoted for cell in cells):
            raise ValueError(f"{path}: a quotation mark is never closed; {QUOTE_ALL}")
        return quoted
    if not _is_quoted(path, plain, header):
        return plain
    return [(i, [cell[1:-1].replace('""', '"') if cell[:1] == '"' else cell for cell in cells]) for i, cells in plain]


def numbers_rows(column: pd.Series) -> bool:
    """Whether a column of strings numbers its rows: whole numbers without duplicates."""
    return bool(column.is_unique and column.str.fullmatch(r"\d+").all())


def _is_quoted(path: str | Path, records: Sequence[Record], header: bool) -> bool:
    """Whether quotation marks around cells are quoting rather than text; no cell may hold a tab or a line break."""
    marked = [(line, cell) for line, cells in records for cell in cells if '"' in cell]
    doubled = sum('""' in cell[1:-1] for _, cell in marked if _QUOTED.fullmatch(cell))
    odd = [line for line, cell in marked if not _QUOTED.fullmatch(cell)]
    # Only writers that quote all text quote column names.
    named = header and all(_QUOTED.fullmatch(cell) for cell in records[0][1])
    if odd and (named or doubled >= len(odd) > 0):
        which = "the header's" if named else f"{doubled} of its"
        raise ValueError(
            f"{path}: {which} cells are quoted, but line {odd[0]} has a quotation mark that is neither doubled nor "
            f"around a whole cell; {QUOTE_ALL}"
        )
    if odd or not marked:
        return False
    if header and not (doubled or named):
        raise ValueError(
            f"{path}: line {marked[0][0]} has quotation marks around a whole cell, which may be text or quoting; "
            f"{QUOTE_ALL}"
        )
    return bool(doubled or named)


def _parsed(text: str) -> list[Record]:
    """Parse as quoted cells, which may hold tabs and line breaks; [] if the text cannot be read that way."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    try:
        return [(reader.line_num, cells) for cells in reader if cells and cells != [""]]
    except csv.Error:
        return []


def _uneven(records: Sequence[Record]) -> Record | None:
    """Return the first row with another number of cells than the header, or None.

    Extra blank cells at a row's end are ignored, and all rows may have one cell more than the header.
    """
    wanted = len(records[0][1]) if records else 0
    if len(records) > 1 and all(len(cells) == wanted + 1 for _, cells in records[1:]):
        return None
    return next((one for one in records if len(one[1]) < wanted or any(map(str.strip, one[1][wanted:]))), None)


def _columns(path: str | Path, records: Sequence[Record], rule: str) -> tuple[list[str], list[list[str]]]:
    """Return the column names and the cells of each row, equally many; drops blank columns at the end."""
    names, cells = [name.strip() for name in records[0][1]], [cells for _, cells in records[1:]]
    while names and not names[-1] and not any(cell.strip() for row in cells for cell in row[len(names) - 1 :]):
        names.pop()
    if not any(names):
        raise ValueError(f"{path}: line {records[0][0]} has no column names; the first line must be a header")
    width = len(names)
    if cells and all(len(row) == width + 1 and row[-1].strip() for row in cells):
        if not numbers_rows(pd.Series([row[0] for row in cells], dtype=str)):
            raise ValueError(f"{path}: rows have {width + 1} columns but the header {width}; every column needs a name")
        names = ["", *names]
    elif any(len(row) != width for row in cells):
        cells = [row[:width] if len(row) < width or not any(map(str.strip, row[width:])) else row for row in cells]
    for (line, _), row in zip(records[1:], cells, strict=True):
        if len(row) != len(names):
            raise ValueError(f"{path}: line {line} has {len(row)} columns but the header {len(names)}; {rule}")
        if row == records[0][1]:
            raise ValueError(f"{path}: line {line} repeats the header; leave it out")
    twice = next((name for name, count in Counter(names).items() if name and count > 1), None)
    if twice is not None:
        raise ValueError(f"{path}: column {twice!r} appears twice in the header; give every column a different name")
    return names, cells
