"""Reading a task's rows from the hub, from TSV files in the official GLUE layout, or from parquet."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from graft.sources import FileData, HubData
from graft.tasks.table import TaskRow

# Published splits, by the name that the hub gives them; local files are called as the splits are.
HUB_SPLITS = {"train": "train", "dev": "validation", "test": "test"}
# Those of a task.
OF_A_TASK = ("train", "dev")


def folder_of(source: FileData, where: str, splits: Sequence[str] = OF_A_TASK) -> Path:
    """The source's folder with $VARIABLES filled in; raises ValueError if it is not there."""
    folder = os.path.expandvars(os.path.expanduser(source.folder))
    if "$" in folder:
        name = folder[folder.index("$") :].split("/")[0].strip("${}")
        raise ValueError(f"{where}.folder: {source.folder} needs the environment variable {name}; export {name}=FOLDER")
    if not Path(folder).is_dir():
        held = " and ".join(f"{split}.{source.kind}" for split in splits)
        raise ValueError(f"{where}.folder: {folder} is not a folder; it should hold {held}")
    return Path(folder)


def source_files(source: FileData, row: TaskRow, where: str, splits: Sequence[str] = OF_A_TASK) -> dict[str, Path]:
    """The files of some splits of a local source, checked as far as can be without reading them whole.

    Raises ValueError for a missing folder, file or column, an empty TSV file, or an unlabelled report split.
    """
    folder = folder_of(source, where, splits)
    files = {split: folder / f"{split}.{source.kind}" for split in splits}
    for split, file in files.items():
        if not file.is_file():
            raise ValueError(f"{where}.folder: {file} is missing")
        if source.kind == "tsv":
            with open(file, encoding="utf-8") as handle:
                header, first = handle.readline().rstrip("\r\n"), handle.readline()
            _check_columns(header.split("\t"), row, file, split)
            if not first:
                raise ValueError(f"{file}: the split is empty; at least one row is needed")
        else:
            _check_columns(_parquet_columns(file), row, file, split)
    return files


def read_split(source: HubData | FileData, row: TaskRow, split: str, where: str) -> pd.DataFrame:
    """One published split ("train" or "dev") as columns `id`, `text_a`, (`text_b`,) `label`.

    Labels are class ids (int64) or scores (float64). Raises ValueError naming file, row and value for a missing
    column, an empty split, an unlabelled split, a label outside the label set, or an empty text.
    """
    name, table = read_table(source, row, split, where)
    return rows_of(table, row, name, split)


def read_texts(source: HubData | FileData, row: TaskRow, split: str, where: str) -> pd.DataFrame:
    """One published split without its labels, which it need not have, as columns `index`, `text_a`, (`text_b`).

    `index` is the file's own (`idx` on the hub), or counts its rows from 0. Raises ValueError for a missing file or
    column.
    """
    if isinstance(source, HubData):
        name, table = _read_hub(source, split)
    else:
        name = folder_of(source, where, (split,)) / f"{split}.{source.kind}"
        if not name.is_file():
            raise ValueError(f"{where}.folder: {name} is missing")
        table = read_tsv(name) if source.kind == "tsv" else pd.read_parquet(name)
    result = pd.DataFrame({"index": next((table[c] for c in ("index", "idx") if c in table), table.index)})
    for target, column in zip(("text_a", "text_b"), row.text, strict=False):
        if column not in table:
            raise ValueError(f"{name}: no column {column!r}; it has {', '.join(table.columns)}")
        result[target] = table[column].astype(str).str.strip()
    return result


def read_table(source: HubData | FileData, row: TaskRow, split: str, where: str) -> tuple[object, pd.DataFrame]:
    """One published split as it stands, and how its file is called in errors."""
    if isinstance(source, HubData):
        return _read_hub(source, split)
    name = source_files(source, row, where, (split,))[split]
    return name, read_tsv(name) if source.kind == "tsv" else pd.read_parquet(name)


def rows_of(table: pd.DataFrame, row: TaskRow, name: object, split: str) -> pd.DataFrame:
    """A table as read, in columns `id`, `text_a`, (`text_b`,) `label`; raises ValueError as `read_split` does.

    The table's index is the number of each row in the file, from 0.
    """
    columns = _check_columns(list(table.columns), row, name, split)
    if table.empty:
        raise ValueError(f"{name}: the split is empty; at least one row is needed")
    result = pd.DataFrame({"id": [f"{split}-{i}" for i in table.index]})
    for target, column in zip(("text_a", "text_b"), columns[:-1], strict=False):
        result[target] = table[column].astype(str).str.strip().to_numpy()
        blank = result[target].eq("") | table[column].isna().to_numpy()
        if blank.any():
            raise ValueError(f"{name}: row {table.index[int(blank.idxmax())] + 1} has no text in column {column}")
    result["label"] = _labels(table[columns[-1]], row, name, split)
    return result


def read_tsv(path: Path) -> pd.DataFrame:
    """All columns of a TSV file as strings, as they stand; raises ValueError for anything else."""
    # GLUE's TSVs are unquoted: many sentences begin with a quotation mark that is never closed.
    try:
        return pd.read_csv(path, sep="\t", quoting=csv.QUOTE_NONE, dtype=str, keep_default_na=False, encoding="utf-8")
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path}: not a TSV file in UTF-8 with one row per line ({' '.join(str(error).split())})"
        ) from None


def _parquet_columns(path: Path) -> list[str]:
    """Column names of a parquet file; raises ValueError for any other file."""
    import pyarrow
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_schema(path).names
    except pyarrow.ArrowInvalid as error:
        raise ValueError(f"{path}: not a parquet file ({error})") from None


def _read_hub(source: HubData, split: str) -> tuple[str, pd.DataFrame]:
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    prefix = f"{source.config}/" if source.config else ""
    wanted = f"{prefix}{HUB_SPLITS[split]}-"
    try:
        names = HfApi().list_repo_files(source.repo, repo_type="dataset", revision=source.revision)
        parts = sorted(n for n in names if n.startswith(wanted) and n.endswith(".parquet"))
        paths = [hf_hub_download(source.repo, n, repo_type="dataset", revision=source.revision) for n in parts]
    except (HfHubHTTPError, OSError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{source.repo}@{source.revision[:8]}: cannot be downloaded: {reason}") from None
    if not parts:
        raise ValueError(
            f"{source.repo}@{source.revision[:8]}: no parquet file {wanted}*; check `config` and `revision`"
        )
    return f"{source.repo}/{parts[0]}", pd.concat([pd.read_parquet(p) for p in paths], ignore_index=True)


def _check_columns(present: list[str], row: TaskRow, name: object, split: str) -> list[str]:
    """Names under which the row's columns stand in a file: text columns, then the label."""
    aliases = dict(row.aliases)
    found = []
    for column in (*row.text, row.label):
        if column not in present and aliases.get(column) in present:
            column = aliases[column]
        if column not in present:
            if column == row.label and split == "dev":
                raise ValueError(
                    f"{name}: no label column {column!r}; the report split must be labelled (GLUE's test is not)"
                )
            raise ValueError(f"{name}: no column {column!r}; it has {', '.join(present)}")
        found.append(column)
    return found


def _labels(column: pd.Series, row: TaskRow, name: object, split: str) -> pd.Series:
    column = column.reset_index(drop=True)
    if row.labels is None:
        values = pd.to_numeric(column, errors="coerce").astype(float)
        bad = ~values.abs().lt(float("inf"))
        wanted = "a number"
    else:
        known = {name: i for i, name in enumerate(row.labels)}
        wanted = f"one of {', '.join(row.labels)}"
        ids = {str(i): i for i in range(len(row.labels))}
        # Classes that are called by numbers (1 to 5 stars) are read by name alone.
        if known.keys().isdisjoint(ids):
            known |= ids
            wanted += f" (or 0 to {len(ids) - 1})"
        values = column.map(lambda v: known.get(str(v), -1)).astype("int64")
        bad = values.eq(-1)
    if column.astype(str).eq("-1").all() or column.astype(str).eq("-1.0").all():
        raise ValueError(f"{name}: all labels are -1, so the split is unlabelled; use a labelled one for {split}")
    if bad.any():
        line = int(bad.idxmax())
        raise ValueError(f"{name}: row {line + 1} has the label {str(column[line])!r}; it should be {wanted}")
    return values
