"""A study without files, and run.json files as `evaluate` would write them."""

import functools

import numpy as np
import pandas as pd
import pytest

from graft.config.study import parse
from graft.io import files
from graft.reporting import predictions
from graft.reporting.comparison import comparison
from graft.reporting.differences import compared
from graft.reporting.significance import significance
from graft.study import records
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.evaluate import Evaluate

EXAMPLES = 1000

FINETUNE = {"learning_rate": 1e-4, "batch_size": 8, "epochs": 1, "max_tokens": 16}
COST = {
    "train_flops_parts": {},
    "pretraining_flops": 7,
    "inference_flops": 1000,
    "inference_flops_real": 500.0,
    "parameters": 300,
    "bytes": 1200,
}
PROVENANCE = {"packages": {}, "data_sha256": {}, "model_sha256": {}, "hardware": {}, "host": "h", "threads": 1}
PROVENANCE |= {"device": "cpu", "precision": "fp32"}


def study_of(**changes):
    hub = {"kind": "hub", "repo": "a/b", "revision": "0" * 40}
    models = {
        name: {"role": role, "source": hub | {"repo": f"a/{name}"}, "finetune": {"rte": FINETUNE}, "tokenizer": "big"}
        for name, role in (("big", "large"), ("tiny", "small"))
    }
    values = {
        "name": "s",
        "seeds": 3,
        "tasks": {"rte": {"source": hub}},
        "models": models,
        "pairs": [{"large": "big", "small": "tiny"}],
        "systems": {"majority": {}, "merge": {"theseus": {}, "interpolate": {}}, "control": {"head-only": {}}},
    }
    return parse(values | changes)


@pytest.fixture
def study():
    """A study with the given keys in place of the usual ones."""
    return study_of


@pytest.fixture
def grid():
    return Grid(study_of())


@pytest.fixture
def runs_of():
    """A table as `gather` makes it: a row per (system, seed) with the given value, or a state where it is text."""

    def make(values, task="rte", flops=None, select=None):
        rows = [
            {"task": task, "system": system, "seed": seed, "state": value, "degenerate": None}
            if isinstance(value, str)
            else {"task": task, "system": system, "seed": seed, "state": "done", "value": value, "degenerate": False}
            | {"train_flops": (flops or {}).get(system, 100), "inference_flops": 1000, "parameters": 300}
            | {"train_flops_shared": (flops or {}).get(system, 100) / 2}
            | {"select_value": (select or {}).get(system, 0.5)}
            for system, by_seed in values.items()
            for seed, value in by_seed.items()
        ]
        costs = ("train_flops", "inference_flops", "parameters", "train_flops_shared")
        columns = ["task", "system", "seed", "state", "value", "degenerate", "select_value", *costs]
        table = pd.DataFrame(rows, columns=columns, dtype=object)
        return table.where(table.notna(), None)

    return make


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path / "results" / "s")


def write_predictions(folder, value):
    """Predictions of two classes with the accuracy `value`, exact to a thousandth, of the same examples for all."""
    labels = np.arange(EXAMPLES) % 2
    wrong = np.arange(EXAMPLES) >= round(value * EXAMPLES)
    told = labels ^ wrong
    table = pd.DataFrame({"id": range(EXAMPLES), "label": labels, "logit_0": 1.0 - told, "logit_1": 1.0 * told})
    with files.atomic_file(folder / "predictions.parquet") as temporary:
        table.to_parquet(temporary, index=False)


@pytest.fixture
def tested(tmp_path):
    """The rows of a table that `runs_of` made, from predictions with its values; and the tasks behind them."""

    def made(runs, study, draws=400):
        study = study.model_copy(update={"statistics": study.statistics.model_copy(update={"draws": draws})})
        for row in runs[runs["state"] == "done"].itertuples():
            write_predictions(Paths(tmp_path).run(row.task, row.system, row.seed), row.value)
        tasks = predictions.crossed(runs, study, Paths(tmp_path))
        return compared(runs, Grid(study), tasks), tasks

    return made


@pytest.fixture
def compare_and_test(tested):
    """The comparison and the significance of a table that `runs_of` made."""

    def made(runs, study):
        rows, tasks = tested(runs, study)
        return comparison(rows, runs, study), significance(rows, tasks)

    return made


@pytest.fixture
def compare(tested):
    """The comparison of a table that `runs_of` made."""
    return lambda runs, study: comparison(tested(runs, study)[0], runs, study)


def write_record(
    grid,
    paths,
    system,
    seed,
    value=0.5,
    task="rte",
    train_flops=10,
    fingerprint=None,
    code="0+a",
    degenerate=False,
    parts=None,
):
    """Write the run.json and the predictions of one run; returns the path of the former."""
    spec = grid.systems[system]
    record = {
        "study": "s",
        "task": task,
        "system": system,
        "kind": spec.kind,
        "seed": seed,
        "label_use": spec.label_use,
        "primary_metric": "accuracy",
        "metrics": {"accuracy": {"value": value, "stderr": 0.03, "n": 277}},
        "degenerate": degenerate,
        "select": {"metric": "accuracy", "value": value},
        "cost": COST | {"train_flops": train_flops, "train_flops_parts": parts or {}},
        "hyperparameters": {},
        "choices": [],
        "provenance": PROVENANCE
        | {"fingerprint": fingerprint or Evaluate(task, system, seed).fingerprint(grid)}
        | {"code_version": code, "finished": "2026-01-01T00:00:00+0000"},
    }
    write_predictions(paths.run(task, system, seed), value)
    path = paths.run(task, system, seed) / "run.json"
    records.write(path, records.RunRecord.model_validate(record))
    return path


@pytest.fixture
def write_run(grid, paths):
    """Write the run.json of one run; returns its path."""
    return functools.partial(write_record, grid, paths)


@pytest.fixture
def write_log(paths):
    def write(rule, system, seed, text):
        log = paths.logs / rule / "rte" / system / f"seed-{seed}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(text)
        return log

    return write
