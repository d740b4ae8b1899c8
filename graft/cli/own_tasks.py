"""Find out how to read a user's task: where its rows are, which file is which split, columns, labels."""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from graft.config.sources import FileData, HubData
from graft.config.tasks import Task
from graft.io.names import checked_name
from graft.registry.tasks import GLUE, GLUE_ROWS, MATCHED, TASKS, TaskRow
from graft.tasks import formats, guessing, hub_files, readers
from graft.tasks.prepare import read_splits
from graft.tasks.sources import source_files

# owner/repo[/config][@branch, tag or commit]
HUB = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:/([\w.-]+))?(?:@([\w./-]+))?")
COMMIT = re.compile(r"[0-9a-f]{40}")
# Usual names of splits, in any case; a test split is taken only if it is labelled.
TRAIN = ("train", "training")
DEV = ("dev", "validation", "valid", "val", "eval", "validation_matched", "dev_matched")
TEST = "test"
# The branch on which the hub keeps data sets of all kinds converted to parquet.
CONVERTED = "refs/convert/parquet"
SHOWN, LONGEST = 3, 60
Source = FileData | HubData


@dataclass(frozen=True)
class OwnTask:
    """A task of a user's. `rows` and `reported`: of train, before limits, and of report, None if not read.

    `told`: lines that say how it was understood.
    """

    name: str
    source: Source
    row: TaskRow
    rows: int
    reported: int | None = None
    told: tuple[str, ...] = ("a known task, from the hub",)

    @property
    def known(self) -> bool:
        """Whether the task is one of the table's, as it is there."""
        return TASKS.get(self.name) == self.row


def own_tasks(tasks: Sequence[str], kinds: Sequence[str], columns: Sequence[str]) -> tuple[OwnTask, ...]:
    """Read the command line's tasks, with the kinds of labels and the columns given for them.

    Raises ValueError if one is invalid.
    """
    names = [task.partition("=")[0] for task in tasks]
    if len(set(names)) < len(names):
        raise ValueError(f"--task: {', '.join(names)} names a task twice")
    said: dict[str, guessing.Kind] = {}
    for given in kinds:
        name, _, kind = given.rpartition("=")
        if kind not in guessing.KINDS or (name and name not in names):
            raise ValueError(f"--kind {given}: use classes or score, or NAME=score for one --task NAME=PATH")
        said |= dict.fromkeys([name] if name else [n for n in names if n not in TASKS], kind)
    if known := [name for name in said if name in TASKS]:
        raise ValueError(f"--kind {known[0]}: a known task has {TASKS[known[0]].kind}; give the task another name")
    asked = dict(_columns(given, names) for given in columns)
    return tuple(own_task(task, said.get(name), asked.get(name, ())) for task, name in zip(tasks, names, strict=True))


def _columns(given: str, names: Sequence[str]) -> tuple[str, list[str]]:
    name, _, columns = given.partition("=")
    found = [column.strip() for column in columns.split(",")]
    if name not in names or name in TASKS or len(found) not in (2, 3) or not all(found):
        raise ValueError(
            f"--columns {given}: use NAME=TEXT,LABEL or NAME=TEXT,TEXT,LABEL for a --task that is not GLUE's"
        )
    return name, found


def own_task(given: str, kind: guessing.Kind | None = None, columns: Sequence[str] = ()) -> OwnTask:
    """Read the task given as `NAME=PATH`, a file, a folder or a data set on the hub, or as the name of one of GLUE's.

    Unless the name is a known task's, its columns and labels are guessed. All splits are read whole, to report bad rows
    at once. Raises ValueError.
    """
    name, equals, path = given.partition("=")
    if given in TASKS:
        splits = MATCHED if given == "mnli" else None
        return OwnTask(
            given,
            HubData.model_validate({**GLUE, "kind": "hub", "config": given, "splits": splits}),
            TASKS[given],
            GLUE_ROWS[given],
        )
    if not (equals and path):
        raise ValueError(f"--task {given}: use NAME=PATH, e.g. reviews=data/reviews.csv, or one of {', '.join(TASKS)}")
    checked_name(name)
    where, row = f"tasks.{name}.source", TASKS.get(name)
    source, tested = _source(path, where)
    if isinstance(source, FileData):
        source_files(source, where)
    file, table = readers.read_table(source, "train", where, row.header if row else ())
    row = row or guessing.guess_row(table, file, kind, columns)
    if tested:
        source = _with_test(source, tested, row, where)
    spec = {key: getattr(row, key) for key in ("text", "label", "labels", "metrics")}
    splits, _, published = read_splits(name, Task(source=source, **spec), source)
    if name not in TASKS and source.named("dev"):
        guessing.check_names(row, *readers.read_table(source, "dev", where))
    guess = "a known task" if name in TASKS else guessing.in_words(row, table)
    told = (f"{published} rows in {file}; {guess}", _sizes(source, splits), *_examples(splits["train"], row))
    return OwnTask(name, source, row, published, len(splits["report"]), told)


def source_values(source: Source) -> dict[str, Any]:
    """Return a source as a config has it: without what is not given."""
    return source.model_dump(exclude_none=True)


def commit_of(repo: str, revision: str | None, where: str, kind: str = "model") -> str:
    """Resolve a branch, a tag or None to a commit (40 hex digits); asks the hub unless given a commit."""
    if revision is not None and COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]

    try:
        if commit := HfApi().repo_info(repo, revision=revision, repo_type=kind).sha:
            return commit
        raise ValueError("it names none")
    except (HTTPError, OSError, ValueError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise ValueError(
            f"{where}: {repo} is not a folder, and the hub does not give its commit; "
            f"give a folder, or {repo}@COMMIT with all 40 hex digits ({reason})"
        ) from None


def _source(given: str, where: str) -> tuple[Source, str | None]:
    """Return where a task's rows are, and the name of a split that can be its dev split if it is labelled."""
    path = Path(given).expanduser()
    if path.is_file():
        return _of_file(given, path)
    if not path.is_dir() and (hub := HUB.fullmatch(given)):
        return _of_hub(hub[1], hub[2], hub[3], where)
    if (path / "state.json").is_file():
        return _files("datasets", str(path.parent), {"train": path.name}), None
    if (path / "dataset_dict.json").is_file():
        kind, names = "datasets", json.loads((path / "dataset_dict.json").read_text())["splits"]
    elif path.is_dir():
        kind, names = _files_in(path)
    else:
        kind, names = "tsv", []
    # Without a file that could be meant, the reader says which are needed.
    splits, tested = _splits(names, given) if names else (None, None)
    usual = splits == {"train": "train", "dev": "dev"}
    return _files(kind, given, None if usual else splits), tested


def _of_file(given: str, path: Path) -> tuple[Source, str | None]:
    kind = path.suffix.removeprefix(".")
    if kind not in formats.KINDS:
        raise ValueError(f"{given}: not a table with one of the endings {', '.join(formats.KINDS)}; save it as CSV")
    folder = str(Path(given).parent)
    if path.stem.lower() in TRAIN:
        splits, tested = _splits([file.stem for file in path.parent.glob(f"*.{kind}")], given)
        return _files(kind, folder, splits), tested
    return _files(kind, folder, {"train": path.stem}), None


def _files(kind: str, folder: str, splits: dict[str, str] | None) -> FileData:
    return FileData.model_validate({"kind": kind, "folder": folder, "splits": splits})


def _files_in(folder: Path) -> tuple[str, list[str]]:
    """Return the one kind of tables in a folder, and their names."""
    found: dict[str, list[str]] = {}
    for file in sorted(folder.iterdir()):
        kind = file.suffix.removeprefix(".")
        if file.is_file() and kind in formats.KINDS:
            found.setdefault(kind, []).append(file.stem)
    if len(found) > 1:
        raise ValueError(f"{folder}: contains files of the kinds {', '.join(found)}; name the file to train on")
    return next(iter(found.items())) if found else ("tsv", [])


def _of_hub(repo: str, config: str | None, revision: str | None, where: str) -> tuple[Source, str | None]:
    for branch in (revision,) if revision else (None, CONVERTED):
        try:
            commit = commit_of(repo, branch, where, "dataset")
        except ValueError:
            if branch == CONVERTED:
                break
            raise
        names = readers.hub_names(repo, commit)
        configs = hub_files.configs_of(names)
        found = hub_files.splits_of(names, config)
        if not found and config is None and len(configs) == 1:
            config, found = configs[0], hub_files.splits_of(names, configs[0])
        if found:
            splits, tested = _splits(found, repo)
            usual = splits == {"train": "train", "dev": "validation"}
            values = {"repo": repo, "config": config, "revision": commit, "splits": None if usual else splits}
            return HubData.model_validate({"kind": "hub", **values}), tested
    listed = f"; its configs: {', '.join(configs)}" if configs else ""
    raise ValueError(f"{where}: {repo} has no tables that are splits; use {repo}/CONFIG of one that has{listed}")


def _splits(names: Collection[str], where: str) -> tuple[dict[str, str], str | None]:
    """Return which of the names are train and dev, and the one that may be dev if it is labelled."""
    known = {name.lower(): name for name in names}
    train = next((known[name] for name in TRAIN if name in known), None)
    if train is None and len(names) > 1:
        raise ValueError(
            f"{where}: which of {', '.join(sorted(names))} is train? Call one of them train, or name its file"
        )
    if train is None:
        return {"train": next(iter(names))}, None
    dev = next((known[name] for name in DEV if name in known), None)
    return {"train": train} | ({"dev": dev} if dev else {}), None if dev else known.get(TEST)


def _with_test(source: Source, test: str, row: TaskRow, where: str) -> Source:
    """Return the source with its test split as dev, if that is labelled."""
    tested = source.model_copy(update={"splits": {"train": source.named("train"), "dev": test}})
    _, table = readers.read_table(tested, "dev", where)
    if row.label not in table:
        return source
    values = guessing.as_text(table[[row.label]])[row.label]
    return source if values.isin(["", "-1"]).all() else tested


def _sizes(source: Source, splits: dict[str, pd.DataFrame]) -> str:
    sizes = ", ".join(f"{name} {len(table)}" for name, table in splits.items())
    carved = "select is" if source.named("dev") else "select and report are"
    return f"rows: {sizes}; {carved} carved out of train, with no text in two of them"


def _examples(table: pd.DataFrame, row: TaskRow) -> list[str]:
    """Show the first rows as they were understood."""
    columns = [column for column in ("text_a", "text_b") if column in table]
    lines = []
    for _, one in table.head(SHOWN).iterrows():
        texts = " | ".join(_short(one[column]) for column in columns)
        label = f"{one['label']:g}" if row.labels is None else row.labels[one["label"]]
        lines.append(f"{texts} → {label}")
    return lines


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
