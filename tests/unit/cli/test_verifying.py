"""A finished pico study is as recorded, and everything that is changed in it afterwards is named."""

import shutil

import pandas as pd
import pytest

from graft.cli.verifying import verify
from graft.config.study import parse
from graft.io import files
from graft.reporting import tables
from graft.study.grid import Grid
from graft.study.paths import Paths
from tests.conftest import study_values
from tests.unit.programs import finish

ENSEMBLE = "merge.logit_ensemble.small-into-large"


@pytest.fixture(scope="module")
def study(pico_glue, pico_models, tmp_path_factory):
    values = study_values(pico_glue, pico_models, seeds=[0], launch={"precision": "fp32"})
    values["include"] = ["rte/finetune.small/*", f"rte/{ENSEMBLE}/*", "rte/majority/*"]
    values["models"]["small"]["finetune"]["rte"]["epochs"] = 1
    grid, paths = Grid(parse(values)), Paths(tmp_path_factory.mktemp("verified") / "pico")
    finish(grid, paths)
    tables.write_runs(grid, paths)
    return grid, paths


@pytest.fixture
def copied(study, tmp_path):
    grid, paths = study
    shutil.copytree(paths.root, tmp_path / "pico")
    return grid, Paths(tmp_path / "pico")


def quiet(done, total, text):
    pass


def test_a_finished_study_is_as_recorded(study):
    found = verify(*study, quiet)
    assert found.problems == []
    assert found.counts == {
        "folders of data, tokens and models": 4,
        "finished runs": 3,
        "models": 3,
        "tables of predictions": 3,
    }


def append(path):
    with open(path, "ab") as handle:
        handle.write(b" ")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("data/rte/report.parquet", "not the file that .*data/rte/manifest.json records"),
        ("tokens/rte/large/report.first.ids.npy", "not the file that .*tokens/rte/large/manifest.json records"),
        ("models/large/model.safetensors", "not the file that .*models/large/manifest.json records"),
        ("runs/rte/finetune.small/seed-0/model/model.safetensors", "not the file that .*seed-0/run.json records"),
        (f"runs/rte/{ENSEMBLE}/seed-0/model/composite.json", "not the file that .*seed-0/run.json records"),
        ("runs/rte/probe.mean.large/seed-all/model/head.safetensors", "not the file that .*composite.json records"),
    ],
)
def test_a_changed_file_is_named_with_what_records_it(copied, changed, told):
    grid, paths = copied
    append(paths.root / changed)
    problems = verify(grid, paths, quiet).problems
    assert [p for p in problems if p.startswith(str(paths.root / changed)) or changed in p], problems
    assert any(pd.Series(problems).str.contains(told))


def test_predictions_that_do_not_give_the_metrics_are_named(copied):
    grid, paths = copied
    path = paths.run("rte", "finetune.small", 0) / "predictions.parquet"
    table = pd.read_parquet(path)
    table.loc[0, "label"] = 1 - table.loc[0, "label"]
    table.to_parquet(path, index=False)
    told = "\n".join(verify(grid, paths, quiet).problems)
    assert "predictions.parquet: not the file that" in told and "predictions.parquet: gives accuracy" in told


def test_a_run_of_another_config_and_a_table_of_other_runs_are_named(copied):
    grid, paths = copied
    path = paths.run("rte", "majority", "all") / "run.json"
    record = files.read_json(path)
    record["provenance"]["fingerprint"] = "0" * 16
    record["metrics"]["accuracy"]["value"] += 0.5
    files.write_json(path, record)
    told = "\n".join(verify(grid, paths, quiet).problems)
    assert f"{path}: made by another config (0000000000000000, not" in told
    assert "runs.csv: rte/majority/seed-all has 0." in told


def test_what_is_missing_is_counted_and_no_problem(copied):
    grid, paths = copied
    (paths.run("rte", "majority", "all") / "run.json").unlink()
    shutil.rmtree(paths.run("rte", ENSEMBLE, 0) / "model")
    found = verify(grid, paths, quiet)
    assert found.problems == []
    assert (found.counts["runs that are not finished"], found.counts["runs whose model was not kept"]) == (1, 1)
