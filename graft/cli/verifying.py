"""Verify a study's results against its records: fingerprints, and the sha256 of data, models and predictions."""

import functools
import math
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from graft.io import files
from graft.io.progress import Report
from graft.io.workflow import COMMAND
from graft.reporting import csv_files, predictions
from graft.reporting.states import run_json
from graft.study import archives, records
from graft.study.grid import Grid, Run
from graft.study.paths import Paths
from graft.study.records import RunRecord
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.evaluate import evaluation
from graft.study.steps.models import DownloadModel
from graft.study.steps.tokenize_task import TokenizeTask
from graft.tasks import scores


class Verified:
    """The number of items checked, by kind, and a sentence for every deviation from the records."""

    def __init__(self, grid: Grid, paths: Paths) -> None:
        self.grid, self.paths = grid, paths
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        # Composites share parts; hash each once.
        self.sha256 = functools.cache(files.sha256)

    def inputs(self) -> Iterator[str]:
        """Check data, tokens and pre-trained models against their manifests; an archive's files were when unpacked."""
        if archived := archives.manifest(self.paths):
            self.counts["files of the archive"] = len(archived.sha256)
            return
        for step in (DownloadTask("*"), TokenizeTask("*", "*"), DownloadModel("*")):
            pattern = str(step.output(self.paths).relative_to(self.paths.root))
            for manifest in sorted(self.paths.root.glob(pattern)):
                self.counts["folders of data, tokens and models"] += 1
                yield from self._files(manifest.parent, files.read_json(manifest)["sha256"], manifest)

    def _files(self, folder: Path, recorded: dict[str, str], by: Path) -> Iterator[str]:
        for name, expected in recorded.items():
            path = Path(os.path.normpath(folder / name))
            if not path.is_file():
                yield f"{path}: missing, though {by} records it"
            elif self.sha256(path) != expected:
                yield f"{path}: not the file that {by} records (sha256 differs)"

    def listed(self) -> dict[tuple[str, ...], Any]:
        """The values in runs.csv by task, system and seed; they should equal the records."""
        path = self.paths.tables / csv_files.RUNS
        table = csv_files.read_csv(path) if path.is_file() else pd.DataFrame()
        return {tuple(map(str, (row["task"], row["system"], row["seed"]))): row["value"] for _, row in table.iterrows()}

    def run(self, run: Run, listed: dict[tuple[str, ...], Any]) -> Iterator[str]:
        path = run_json(self.paths, run)
        if not path.is_file():
            self.counts["runs that are not finished"] += 1
            return
        self.counts["finished runs"] += 1
        try:
            record = records.read(path)
        except ValueError as error:
            yield str(error)
            return
        yield from self._fingerprint(run, path, record)
        yield from self._model(run, path, record)
        yield from self._predictions(run, path, record)
        value = listed.get((run.task, run.system.name, str(run.seed)))
        if value is not None and value != record.primary.value:
            both = f"{value}, and {path} {record.primary.value}"
            yield f"{self.paths.tables / csv_files.RUNS}: {run.id} has {both}; call `{COMMAND} tables`"

    def _fingerprint(self, run: Run, path: Path, record: RunRecord) -> Iterator[str]:
        try:
            expected = evaluation(run).fingerprint(self.grid)
        except ValueError:  # a local source that no longer exists
            self.counts["runs whose source is not here, so that their fingerprints are unknown"] += 1
            return
        if (found := record.provenance.fingerprint) != expected:
            yield f"{path}: made by another config ({found}, not {expected}); run snakemake again"

    def _model(self, run: Run, path: Path, record: RunRecord) -> Iterator[str]:
        folder = self.paths.run(*run.made)
        if not (folder / "model").is_dir():
            self.counts["runs whose model was not kept"] += 1
            return
        self.counts["models"] += run.trained_on is None
        yield from self._files(folder / "model", record.provenance.model_sha256, path)
        composite = folder / "model" / "composite.json"
        if composite.is_file():
            yield from self._files(composite.parent, files.read_json(composite)["sha256"], composite)

    def _predictions(self, run: Run, path: Path, record: RunRecord) -> Iterator[str]:
        """Check the predictions' sha256 (older records have none), and that they give the recorded metrics."""
        table, row = path.with_name("predictions.parquet"), self.grid.row(run.task)
        try:
            answers, predicted = predictions.read(table, row)
        except ValueError as error:
            yield str(error)
            return
        self.counts["tables of predictions"] += 1
        expected = record.provenance.predictions_sha256
        if expected is not None and self.sha256(table) != expected:
            yield f"{table}: not the file that {path} records (sha256 differs)"
        values = scores.values(predicted, answers["label"].to_numpy(), list(record.metrics), row.kind)
        for name, metric in record.metrics.items():
            if len(answers) != metric.n or not math.isclose(values[name], metric.value, rel_tol=1e-6, abs_tol=1e-9):
                recorded = f"{path} records {metric.value} on {metric.n}"
                yield f"{table}: gives {name} {values[name]} on {len(answers)} examples; {recorded}"


def verify(grid: Grid, paths: Paths, report: Report) -> Verified:
    """Check all existing results; missing ones (not made yet, or cleaned) are counted but no problem."""
    found = Verified(grid, paths)
    listed, runs = found.listed(), [*grid.runs, *grid.transfer_runs]
    found.problems += found.inputs()
    for done, run in enumerate(runs):
        report(done, len(runs), run.id)
        found.problems += found.run(run, listed)
    report(len(runs), len(runs), "")
    return found
