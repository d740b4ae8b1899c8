"""Read one file of a data set, by its kind, as a table whose rows are numbered from 0. Imports no torch."""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from graft.io import plain_text
from graft.tasks.tsv import Record, read_tsv, table_of

# Key of a table's `attrs`: the names of the classes of each column that holds class ids, if the file says so.
CLASSES = "classes"
COMMAS = "a cell with commas, quotation marks or line breaks is put in quotation marks, with those inside it doubled"
OBJECTS = 'each line must be one object, {"column": value, ...}'


def read(kind: str, path: Path, header: Sequence[str] = ()) -> pd.DataFrame:
    """Read a file, or of kind `datasets` a folder; raises ValueError, naming file and line, if it is not of its kind.

    Cells of TSV and CSV are strings; other kinds have numbers and booleans too. `header`: see `read_tsv`.
    """
    return read_tsv(path, header) if kind == "tsv" else _READERS[kind](path)


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file; it may be separated by semicolons, as spreadsheets do where the comma is for decimals."""
    text = plain_text.read(path)
    header = text.split("\n", 1)[0]
    delimiter = ";" if ";" in header and "," not in header else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records: list[Record] = []
    line = 1
    try:
        for cells in reader:
            if cells:
                records.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{path}: the row at line {line} is not CSV ({error}); {COMMAS}") from None
    return table_of(path, records, COMMAS)


def read_json(path: Path) -> pd.DataFrame:
    """Read JSON: an object for each row, one per line or all in one list. Keys that a row lacks are missing values."""
    text = plain_text.read(path)
    if text.lstrip().startswith("["):
        values = [(i, value) for i, value in enumerate(_json(path, 1, text), 1)]
        where = "row"
    else:
        values = [(i, _json(path, i, line)) for i, line in enumerate(plain_text.lines(text), 1) if line.strip()]
        where = "line"
    for number, value in values:
        if not isinstance(value, dict):
            raise ValueError(f"{path}: {where} {number} is not a JSON object; {OBJECTS}")
    if not values:
        raise ValueError(f"{path}: is empty; {OBJECTS}")
    return pd.DataFrame([value for _, value in values], dtype=object)


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a parquet file."""
    import pyarrow
    from pyarrow import parquet

    try:
        return _with_classes(pd.read_parquet(path), parquet.read_schema(path))
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path}: not a parquet file ({error})") from None


def read_saved(folder: Path) -> pd.DataFrame:
    """Read a `datasets.Dataset` saved by `save_to_disk`: Arrow streams, listed in state.json."""
    import pyarrow

    try:
        state = json.loads((folder / "state.json").read_text())
        parts = [folder / part["filename"] for part in state["_data_files"]]
        tables = []
        for part in parts:
            with pyarrow.ipc.open_stream(part) as stream:
                tables.append(stream.read_all())
        table = pyarrow.concat_tables(tables)
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowInvalid) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{folder}: not a data set saved by datasets' save_to_disk ({type(error).__name__}: {reason})"
        ) from None
    return _with_classes(table.to_pandas(), table.schema)


def _with_classes(table: pd.DataFrame, schema: Any) -> pd.DataFrame:
    """Add the names of classes that `datasets` writes into a schema's metadata."""
    described = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features: Mapping[str, Any] = described.get("info", {}).get("features") or {}
    table.attrs[CLASSES] = {
        name: tuple(feature["names"])
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
    }
    return table


def _json(path: Path, line: int, text: str) -> Any:
    def each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for key, _ in pairs:
            if sum(key == other for other, _ in pairs) > 1:
                raise ValueError(f"{path}: line {line} has the key {key!r} twice; give each key once")
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=each_once)
    except json.JSONDecodeError as error:
        at = line + error.lineno - 1
        raise ValueError(f"{path}: line {at} is not JSON ({error.msg}, column {error.colno}); {OBJECTS}") from None


_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    "csv": read_csv,
    "jsonl": read_json,
    "json": read_json,
    "parquet": read_parquet,
    "datasets": read_saved,
}
# Endings of files, in the order in which the kinds are preferred.
KINDS = ("parquet", "csv", "tsv", "jsonl", "json")
