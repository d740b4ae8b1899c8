"""Comparisons to draw, as `Source`s without files and with them."""

import json

import pytest

from graft.io import files
from graft.reporting import csv_files, tables
from graft.reporting.figures.source import Source
from graft.study.grid import Grid

THESEUS = "merge.theseus.labelled.tiny-into-big"
SYSTEMS = {
    "finetune.big": (0.88, 4.5e13),
    "finetune.tiny": (0.83, 1.1e13),
    "majority": (0.5, 0),
    "merge.interpolate.tiny-into-big": (0.51, 3.1e13),
    "merge.theseus.transplant.tiny-into-big": (0.849, 1.9e13),
    "merge.theseus.label-free.tiny-into-big": (0.848, 1.9e13),
    THESEUS: (0.85, 1.9e13),
    "control.head-only.labelled.tiny-into-big": (0.847, 1.85e13),
}


@pytest.fixture
def source_of(study, runs_of, compare, paths):
    """A study with every kind of system and so many seeds of each."""

    def made(seeds):
        values = {
            name: {"all": mean} if mean == 0.5 else {seed: mean + 0.01 * (seed % 2) for seed in range(seeds)}
            for name, (mean, _) in SYSTEMS.items()
        }
        runs = runs_of(values, flops={name: flops for name, (_, flops) in SYSTEMS.items()})
        own = study(seeds=seeds)
        return Source(Grid(own), paths, compare(runs, own), runs)

    return made


@pytest.fixture
def source(source_of):
    return source_of(2)


def hollow(axis):
    """Points of the dots of single seeds."""
    return [
        point for line in axis.lines if line.get_markerfacecolor() == "none" for point in line.get_xydata().tolist()
    ]


@pytest.fixture
def written(grid, paths, write_run):
    """A study with a merge that chose among strengths and a log of its training; as a source."""
    for seed in (0, 1):
        for system in ("finetune.big", "finetune.tiny"):
            path = write_run(system, seed, 0.7)
            lines = [
                {"step": 20, "epoch": 1, "loss": 0.5},
                {"epoch": 1, "loss": 0.6, "select": 0.7, "metric": "accuracy"},
            ]
            path.with_name("training.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        path = write_run(THESEUS, seed, 0.6)
        record = files.read_json(path)
        searched = [
            {"value": v, "ridge": r, "score": s} for v, r, s in ((0, 1, 0.5), (0, 2, 0.55), (2, 1, 0.6), (2, 2, None))
        ]
        record["choices"] = [{"name": "strength", "metric": "accuracy", "chosen": 2, "searched": searched}]
        files.write_json(path, record)
    tables.write_runs(grid, paths)
    tables.write_comparison(grid, paths)
    return Source(grid, paths, csv_files.read_comparison(paths), csv_files.read_csv(paths.tables / "runs.csv"))
