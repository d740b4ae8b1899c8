"""Read a task's rows from the hub or from local files."""

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from graft.config.sources import FileData, HubData
from graft.registry.tasks import TaskRow
from graft.tasks import formats, hub_files, labels
from graft.tasks.sources import source_files

SEPARATORS = {".tsv": "tabs", ".csv": "commas"}


def read_split(source: HubData | FileData, row: TaskRow, split: str, where: str) -> pd.DataFrame:
    """Read a published split ("train" or "dev") as columns `id`, `text_a`, (`text_b`,) `label`.

    Labels are class ids (int64) or scores (float64). Raises ValueError naming file, row and value for a missing
    column, an empty split, an unlabelled split, a label outside the label set, an empty text, or labels too uniform to
    train on or to evaluate with.
    """
    name, table = read_table(source, split, where, row.header)
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
        if (found := _present(column, row, table.columns)) is None:
            raise ValueError(f"{name}: no column {column!r}; it has {_listed(table.columns, name)}")
        result[target] = _texts(table[found], name)
    return result


def read_table(
    source: HubData | FileData, split: str, where: str, header: Sequence[str] = ()
) -> tuple[object, pd.DataFrame]:
    """Read a published split unchanged; returns its file's name for error messages, and the table.

    `header`: the columns of official TSV files that lack a first line with their names.
    """
    if source.named(split) is None:
        raise ValueError(f"{where}.splits: names no {split}; give the name of that split")
    if isinstance(source, HubData):
        return read_hub(source, split)
    file = source_files(source, where, (split,))[split]
    return file, formats.read(source.kind, file, header)


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


def hub_names(repo: str, revision: str) -> list[str]:
    """Return the names of all files of a data set on the hub; raises ValueError if it cannot be reached."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return HfApi().list_repo_files(repo, repo_type="dataset", revision=revision)
    except (HfHubHTTPError, OSError) as error:
        raise _unreachable(repo, revision, error) from None


def read_hub(source: HubData, split: str) -> tuple[str, pd.DataFrame]:
    """Read a split of a data set on the hub; returns its first file's name, and the table."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    name, at = source.named(split), f"{source.repo}@{source.revision[:8]}"
    found = hub_files.splits_of(names := hub_names(source.repo, source.revision), source.config)
    if name not in found:
        listed = f"it has {', '.join(found)}" if found else f"it has configs {', '.join(hub_files.configs_of(names))}"
        raise ValueError(
            f"{at}: no files of a split {name!r} in config {source.config}; check config, splits and revision "
            f"({listed})"
        )
    kind, parts = found[name]
    try:
        paths = [hf_hub_download(source.repo, n, repo_type="dataset", revision=source.revision) for n in parts]
    except (HfHubHTTPError, OSError) as error:
        raise _unreachable(source.repo, source.revision, error) from None
    tables = [formats.read(kind, Path(path)) for path in paths]
    whole = pd.concat(tables, ignore_index=True)
    whole.attrs = tables[0].attrs
    return f"{source.repo}/{parts[0]}", whole


def _unreachable(repo: str, revision: str, error: Exception) -> ValueError:
    reason = " ".join(str(error).split())
    return ValueError(f"{repo}@{revision[:8]}: cannot be downloaded: {reason}")


def _check_columns(present: list[str], row: TaskRow, name: object, split: str) -> list[str]:
    """Return the names of the row's columns in a file, text columns first, then the label; raises ValueError."""
    found = []
    for column in (*row.text, row.label):
        if (there := _present(column, row, present)) is None:
            if column == row.label and split == "dev":
                raise ValueError(
                    f"{name}: no label column {column!r}; the report split must be labelled (GLUE's test is not)"
                )
            raise ValueError(f"{name}: no column {column!r}; it has {_listed(present, name)}")
        found.append(there)
    return found


def _present(column: str, row: TaskRow, present: Collection[str]) -> str | None:
    """Return a column's name in a file, its own or its other one; None if it has neither."""
    return next((name for name in (column, dict(row.aliases).get(column)) if name in present), None)


def _listed(columns: Collection[str], name: object) -> str:
    """List column names for an error; a hint about their separation follows a single one."""
    separator = SEPARATORS.get(Path(str(name)).suffix)
    alone = f" only; columns are separated by {separator}" if len(columns) == 1 and separator else ""
    return ", ".join(map(str, columns)) + alone
