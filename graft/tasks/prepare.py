"""Turn a task's source into three splits on disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from graft.config.sources import FileData, GeneratedData, HubData, recorded
from graft.config.tasks import Task
from graft.io import files
from graft.registry.tasks import TaskRow
from graft.tasks import generated, labels
from graft.tasks.readers import read_split
from graft.tasks.splits import SPLIT_SEED, Carving, carve, carve_report, draw, seen


def prepare_task(name: str, task: Task, out: Path, fingerprint: str) -> dict[str, Any]:
    """Write train, select and report of a task into folder `out` and return its manifest.

    The labels of `report` go into a separate file, so that only `evaluate` reads them.
    """
    row = task.row(name)
    with files.atomic_folder(out) as folder:
        splits, carving, published = read_splits(name, task, readable(task.source, folder))
        # Labels of select, which is carved out of train too, are seen like those of train.
        report, read = splits["report"], pd.concat([splits["train"], splits["select"]])
        shared = report["id"][seen(report, read)].tolist()
        facts = {
            "task": name,
            "fingerprint": fingerprint,
            "source": recorded(task.source),
            "kind": row.kind,
            "labels": row.labels,
            "text": row.text,
            "groups": row.groups,
            "rows": {
                "published_train": published,
                "dropped_since_inside_select": len(carving.dropped),
                "train_inside_another_row": int(np.isin(splits["train"].index, carving.redundant).sum()),
                "report_seen_in_train": len(shared),
                **{split: len(table) for split, table in splits.items()},
            },
            "report_seen_in_train": shared,
            "label_balance": {split: balance(table["label"], row) for split, table in splits.items()},
        }
        return write_splits(splits, folder, facts)


def write_splits(splits: dict[str, pd.DataFrame], folder: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """Write splits as parquet files, report without its labels and these apart; returns the manifest, with `facts`."""
    report = splits["report"]
    tables = {**splits, "report": report.drop(columns="label"), "report_labels": report[["id", "label"]]}
    for split, table in tables.items():
        table.reset_index(drop=True).to_parquet(folder / f"{split}.parquet", index=False)
    written = {f"{split}.parquet": files.sha256(folder / f"{split}.parquet") for split in tables}
    manifest = facts | {"sha256": written}
    files.write_json(folder / "manifest.json", manifest)
    return manifest


def readable(source: HubData | FileData | GeneratedData, folder: Path) -> HubData | FileData:
    """Return the source, or for generated data the TSV files after writing them into the subfolder `tsv`.

    They are read back like any other TSV files, and stay beside the splits for inspection.
    """
    if not isinstance(source, GeneratedData):
        return source
    written = folder / "tsv"
    written.mkdir()
    generated.write(source.grammar, source.seed, source.train, source.dev, written)
    return FileData(kind="tsv", folder=str(written))


def read_splits(name: str, task: Task, source: HubData | FileData) -> tuple[dict[str, pd.DataFrame], Carving, int]:
    """Return a task's train, select and report, how they were carved, and the number of published train rows."""
    row = task.row(name)
    where = f"tasks.{name}.source"
    published = read_split(source, row, "train", where)
    if source.named("dev"):
        report = limited(read_split(source, row, "dev", where), task.limits.report)
        carving = carve(published, row.groups, task.limits.select)
    else:
        chosen, carving = carve_report(published, row.groups, task.limits.select, task.limits.report)
        report = published.iloc[chosen]
        for split, rows in (("train", carving.train), ("report", chosen)):
            labels.check_variety(published["label"].iloc[rows], row, f"{where}: {split} as carved out", split)
    splits = {
        "train": published.iloc[draw(carving, task.limits.train)],
        "select": published.iloc[carving.select],
        "report": report,
    }
    return splits, carving, len(published)


def limited(table: pd.DataFrame, limit: int | None) -> pd.DataFrame:
    """Return at most `limit` rows, in order, drawn with a fixed seed."""
    rng = np.random.default_rng(SPLIT_SEED)
    if limit is None or limit >= len(table):
        return table
    return table.iloc[np.sort(rng.choice(len(table), limit, replace=False))]


def balance(labels: pd.Series, row: TaskRow) -> dict[str, float]:
    """Return the share of each class by name, or the mean and standard deviation of a score."""
    if row.labels is None:
        return {"mean": float(labels.mean()), "sd": float(labels.std(ddof=0))}
    return {name: float(labels.eq(i).mean()) for i, name in enumerate(row.labels)}
