"""Read a task's rows from the hub, from TSV files in the official GLUE layout, or from parquet."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from graft.config.sources import FileData, HubData
from graft.registry.tasks import TaskRow
from graft.tasks import labels, tsv
from graft.tasks.sources import HUB_SPLITS, source_files


def read_split(source: HubData | FileData, row: TaskRow, split: str, where: str) -> pd.DataFrame:
    """Read a published split ("train" or "dev") as columns `id`, `text_a`, (`text_b`,) `label`.

    Labels are class ids (int64) or scores (float64). Raises ValueError naming file, row and value for a missing
    column, an empty split, an unlabelled split, a label outside the label set, an empty text, or labels too uniform to
    train on or to evaluate with.
    """
    name, table = read_table(source, split, where)
    rows = rows_of(table, row, name, split)
    labels.check_variety(rows["label"], row, name, split)
    return rows


def read_texts(source: HubData | FileData, row: TaskRow, split: str, where: str) -> pd.DataFrame:
    """Read a published split without labels, which it need not have, as columns `index`, `text_a`, (`text_b`).

    `index` is the file's own (`idx` on the hub), or else numbers its rows from 0. Raises ValueError for a missing file
    or column.
    """
    name, table = read_table(source, split, where)
    result = pd.DataFrame({"index": next((table[c] for c in ("index", "idx") if c in table), table.index)})
    for target, column in zip(("text_a", "text_b"), row.text, strict=False):
        if column not in table:
            raise ValueError(f"{name}: no column {column!r}; it has {_listed(table.columns)}")
        result[target] = _texts(table[column], name)
    return result


def read_table(source: HubData | FileData, split: str, where: str) -> tuple[object, pd.DataFrame]:
    """Read a published split unchanged; returns its file's name for error messages, and the table."""
    if isinstance(source, HubData):
        return _read_hub(source, split)
    file = source_files(source, where, (split,))[split]
    return file, tsv.read_tsv(file) if source.kind == "tsv" else _read_parquet(file)


def rows_of(table: pd.DataFrame, row: TaskRow, name: object, split: str) -> pd.DataFrame:
    """Convert a table to columns `id`, `text_a`, (`text_b`,) `label`; raises ValueError as `read_split` does.

    The table's index must number the rows of the file from 0.
    """
    columns = _check_columns(list(table.columns), row, name, split)
    if table.empty:
        raise ValueError(f"{name}: the split has no rows; at least one is needed")
    result = pd.DataFrame({"id": [f"{split}-{i}" for i in table.index]})
    for target, column in zip(("text_a", "text_b"), columns[:-1], strict=False):
        result[target] = _texts(table[column], name).to_numpy()
        blank = result[target].eq("")
        if blank.any():
            raise ValueError(f"{name}: row {table.index[int(blank.idxmax())] + 1} has no text in column {column}")
    result["label"] = labels.read(table[columns[-1]], row, name, split)
    return result


def _texts(column: pd.Series, name: object) -> pd.Series:
    """Return the texts, stripped of surrounding white space; raises ValueError if the column is not text."""
    kind = pd.api.types.infer_dtype(column.astype(object), skipna=True)
    texts = column.astype(object).where(column.notna(), "").astype(str).str.strip()
    # Most columns of text are recognised by their first rows.
    numbers = len(texts) and all(pd.to_numeric(some, errors="coerce").notna().all() for some in (texts[:9], texts))
    if kind not in ("string", "empty") or numbers:
        found = "numbers" if kind in ("string", "integer", "floating", "mixed-integer-float") else f"{kind} values"
        raise ValueError(f"{name}: column {column.name} contains {found}, not text; name the text column")
    return texts


def _read_parquet(path: Path) -> pd.DataFrame:
    """Read a parquet file; raises ValueError for any other file."""
    import pyarrow

    try:
        return pd.read_parquet(path)
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
    """Return the names of the row's columns in a file, text columns first, then the label; raises ValueError."""
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
            raise ValueError(f"{name}: no column {column!r}; it has {_listed(present)}")
        found.append(column)
    return found


def _listed(columns: Sequence[str]) -> str:
    """List column names for an error; a hint about tabs follows a single one."""
    alone = " only; columns are separated by tabs" if len(columns) == 1 else ""
    return ", ".join(map(str, columns)) + alone
