"""Sizes of a study's tasks and models, as far as known before any job. Uses no network and no torch."""

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from graft.config.models import DistilledModel, HubModel, Like
from graft.config.sources import FileData, HubData
from graft.config.tasks import Limits, Task
from graft.encoders.local_models import local_folder
from graft.io import files
from graft.registry.shapes import Shape
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.sizes import Sizes, TaskSizes, Unknown
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.models import weights
from graft.tasks.prepare import read_splits
from graft.tasks.transferred import read_report

SPLITS = ("train", "select", "report")
# A word or a punctuation mark: the units into which BERT's tokenizer splits text before its vocabulary look-up.
_WORD = re.compile(r"\w+|[^\w\s]")
# Tokens per such word with bert-base-uncased's vocabulary, over all rows of the official train files of SST-2, STS-B
# and RTE: 1.104 (1.118, 1.061 and 1.078).
TOKENS_PER_WORD = 1.10
_PERCENTILES = (0, 5, 25, 50, 75, 95, 99, 100)


@dataclass(frozen=True)
class _Rows:
    """Number of rows, and _PERCENTILES of their tokens, special tokens included."""

    rows: int
    tokens: tuple[int, ...]

    def drawn(self, rows: int) -> np.ndarray:
        """Tokens per row of a typical draw of `rows` rows, in ascending order."""
        shares = (np.arange(rows) + 0.5) * 100 / max(rows, 1)
        return np.rint(np.interp(shares, _PERCENTILES, self.tokens)).astype(np.int64)


@dataclass(frozen=True)
class _Published:
    """A published task: train rows contained in no other row, report rows, train rows contained in another, and the
    number of the latter dropped per row of `select`."""

    whole: _Rows
    report: _Rows
    inside: _Rows = _Rows(0, (0,) * len(_PERCENTILES))
    dropped: float = 0.0


# By repository (without its owner) and config. Rows as published; tokens of all rows of the official files with
# bert-base-uncased's vocabulary. `dropped` of SST-2 was measured with the default 1000 rows of `select`.
_PUBLISHED: dict[tuple[str, str | None], _Published] = {
    ("glue", "sst2"): _Published(
        whole=_Rows(6885, (4, 9, 17, 24, 32, 45, 54, 66)),
        inside=_Rows(60464, (3, 4, 6, 9, 16, 29, 41, 64)),
        dropped=10.2,
        report=_Rows(872, (4, 10, 17, 24, 32, 44, 51, 55)),
    ),
    ("glue", "stsb"): _Published(
        whole=_Rows(5749, (10, 15, 19, 23, 31, 60, 75, 125)), report=_Rows(1500, (11, 16, 20, 28, 41, 60, 71, 87))
    ),
    ("glue", "rte"): _Published(
        whole=_Rows(2490, (13, 29, 43, 56, 85, 157, 197, 289)), report=_Rows(277, (17, 29, 41, 53, 79, 157, 191, 253))
    ),
}

# The default study's models, from their published config.json.
MODELS = {
    "google-bert/bert-base-uncased": Shape(layers=12, width=768, heads=12, ffn=3072, vocabulary=30522),
    "huawei-noah/TinyBERT_General_4L_312D": Shape(layers=4, width=312, heads=12, ffn=1200, vocabulary=30522),
}


def sizes_of(grid: Grid, paths: Paths, device: str = "cpu") -> Sizes:
    """The sizes of a study that trains on a "cpu" or "cuda", looked up when asked for."""
    packs = grid.study.launch.packs_on(device)
    return Sizes(grid, partial(task_sizes, grid, paths), partial(model_shape, grid, paths), packs)


def task_sizes(grid: Grid, paths: Paths, task: str) -> TaskSizes:
    """Sizes of a task: from its splits in `results/` or its local source, else from the table of published tasks.

    Raises Unknown for a hub data set that is not in the table, ValueError for bad local files. A transfer has only
    `report`.
    """
    if task in grid.transfers:
        return _transfer_sizes(grid, paths, task)
    spec = grid.study.tasks[task]
    manifest = paths.data(task) / "manifest.json"
    if manifest.is_file() and files.read_json(manifest)["fingerprint"] == DownloadTask(task).fingerprint(grid):
        tables = {split: pd.read_parquet(paths.data(task) / f"{split}.parquet") for split in SPLITS}
        return TaskSizes(_estimated(tables), f"counted in {paths.data(task)}")
    if not isinstance(spec.source, HubData):
        return TaskSizes(_estimated(_splits_here(task, spec)), f"counted in the {spec.source.kind} source")
    published = _PUBLISHED.get((spec.source.repo.rsplit("/", 1)[-1], spec.source.config))
    if published is None:
        data_set = "/".join(filter(None, (spec.source.repo, spec.source.config)))
        raise Unknown(f"task {task}: rows and lengths of {data_set}; known after `snakemake data`")
    return TaskSizes(_expected(published, spec.limits), "published sizes, measured lengths")


def model_shape(grid: Grid, paths: Paths, model: str) -> tuple[Shape, str]:
    """Shape of a pre-trained model, and its source; raises Unknown for a hub model neither local nor in the table."""
    source = grid.study.models[model].source
    if isinstance(source, DistilledModel):
        teacher, _ = model_shape(grid, paths, source.teacher)
        return replace(teacher, **source.shape.model_dump()), "config"
    if isinstance(source, Like):
        return model_shape(grid, paths, source.like)[0], "config"
    if not isinstance(source, HubModel):
        return Shape.of(local_folder(source, f"models.{model}.source")), "its config.json"
    manifest = paths.model(model) / "manifest.json"
    if manifest.is_file() and files.read_json(manifest)["fingerprint"] == weights(grid, model).fingerprint(grid):
        return Shape.of(paths.model(model)), f"{paths.model(model)}"
    if source.repo not in MODELS:
        raise Unknown(f"model {model}: shape of {source.repo}; known after `snakemake models`")
    return MODELS[source.repo], "published config.json"


def _splits_here(name: str, task: Task) -> dict[str, pd.DataFrame]:
    """Splits of a task with a local or generated source."""
    source = task.source
    with tempfile.TemporaryDirectory() as folder:
        if source.kind == "generated":
            from graft.tasks import generated

            generated.write(source.grammar, source.seed, source.train, source.dev, Path(folder))
            source = FileData(kind="tsv", folder=folder)
        return read_splits(name, task, source)[0]


def _transfer_sizes(grid: Grid, paths: Paths, task: str) -> TaskSizes:
    name, transfer = grid.transfers[task]
    manifest = paths.data(task) / "manifest.json"
    if manifest.is_file() and files.read_json(manifest)["fingerprint"] == DownloadTask(task).fingerprint(grid):
        report = pd.read_parquet(paths.data(task) / "report.parquet")
        return TaskSizes({"report": _tokens(report)}, f"counted in {paths.data(task)}")
    if isinstance(transfer.source, HubData):
        raise Unknown(f"transfer {name}: rows and lengths of {transfer.source.repo}; known after `snakemake data`")
    report, _, _ = read_report(name, transfer, grid.row(grid.trained_on(task)))
    return TaskSizes({"report": _tokens(report)}, f"counted in the {transfer.source.kind} source")


def _estimated(tables: Mapping[str, pd.DataFrame]) -> dict[str, np.ndarray]:
    return {split: _tokens(tables[split]) for split in SPLITS}


def _tokens(table: pd.DataFrame) -> np.ndarray:
    """Estimate tokens per row: words times TOKENS_PER_WORD, plus [CLS] and a [SEP] per text. [rows]"""
    texts = [column for column in ("text_a", "text_b") if column in table]
    words = sum(table[column].map(lambda text: len(_WORD.findall(text))).to_numpy() for column in texts)
    return np.rint(words * TOKENS_PER_WORD).astype(np.int64) + 1 + len(texts)


def _expected(published: _Published, limits: Limits) -> dict[str, np.ndarray]:
    """Estimate tokens of the splits that `graft.tasks.splits` would make: whole texts fill `select`, then train."""
    whole, inside = published.whole.rows, published.inside.rows
    select = min(limits.select, (whole + inside) // 10) or 1
    left = whole - select
    kept = min(limits.train or whole + inside, left + max(0, inside - round(published.dropped * select)))
    train = published.whole.drawn(min(kept, left)), published.inside.drawn(max(0, kept - left))
    report = min(limits.report or published.report.rows, published.report.rows)
    splits = (np.concatenate(train), published.whole.drawn(select), published.report.drawn(report))
    return dict(zip(SPLITS, splits, strict=True))
