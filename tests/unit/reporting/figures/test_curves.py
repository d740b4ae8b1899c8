"""Figures that are drawn from records, logs and statistics of runs."""

import json

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from graft.io import files
from graft.reporting import csv_files, tables
from graft.reporting.figures import similarity, strengths, training, warm_starts
from graft.reporting.figures.source import Source
from graft.study.grid import Grid
from graft.study.steps.calibrate import Calibrate

THESEUS = "merge.theseus.labelled.tiny-into-big"


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


def test_a_strength_has_its_best_score_over_ridge_sizes(written):
    data = strengths.data(written)
    assert set(data["system"]) == {THESEUS}
    assert data[["seed", "strength", "score", "chosen"]].astype({"seed": str}).values.tolist() == [
        [str(seed), *point] for seed in (0, 1) for point in ((0.0, 0.55, False), (2.0, 0.6, True))
    ]
    (axis,) = strengths.draw(data).axes
    assert axis.get_title(loc="left") == "theseus"


def test_training_is_read_without_what_was_measured(written):
    data = training.data(written)
    assert len(data) == 8 and list(data.columns) == list(training.COLUMNS)
    assert training.draw(data).axes


def test_a_broken_log_is_named(written):
    log = written.paths.run("rte", "finetune.big", 0) / "training.jsonl"
    log.write_text('{"step": 20')
    with pytest.raises(ValueError, match="training.jsonl: not valid JSON"):
        training.data(written)


def test_what_a_study_has_no_data_of_is_empty(written):
    assert not len(warm_starts.data(written)) and not len(similarity.data(written))


def test_layers_are_drawn_with_the_depth_maps_that_join_them(written):
    folder = Calibrate("rte", "tiny-into-big", "uniform").output(written.paths).parent
    folder.mkdir(parents=True)
    cka = torch.rand(3, 5, dtype=torch.float64)
    save_file({"cka": cka}, folder / "statistics.safetensors")
    data = similarity.data(written)
    assert len(data) == 15 and data["cka"].tolist() == cka.flatten().tolist()
    # 2 layers into 4, evenly spread: the second and the fourth, counted from 1.
    joined = data[data["depths"] == "uniform"]
    assert joined[["small_layer", "large_layer"]].values.tolist() == [[1, 2], [2, 4]]
    (axis,) = similarity.draw(data).axes
    assert len([line for line in axis.lines if line.get_marker() == "o"]) == 2


def test_warm_starts_are_curves_by_arm(study, paths, runs_of, compare):
    made = study(
        systems={
            "merge": {"theseus": {"heads": ["labelled"]}},
            "control": {"head-only": {"heads": ["labelled"]}, "shuffled": {"of": ["theseus"]}},
            "warm-start": {"merge": "theseus", "steps": [10, 20]},
        }
    )
    grid = Grid(made)
    names = [name for name, system in grid.systems.items() if system.kind != "trial"]
    runs = runs_of({name: {0: 0.5, 1: 0.6} for name in names}, flops={name: 10 + i for i, name in enumerate(names)})
    data = warm_starts.data(Source(grid, paths, compare(runs, made), runs))
    figure = warm_starts.draw(data)
    assert isinstance(data, pd.DataFrame) and set(data["steps"]) == {0, 10, 20}
    assert [axis.get_xlabel() for axis in figure.axes] == ["steps", "training FLOPs, all"]
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {*data["arm"], "reference"}
