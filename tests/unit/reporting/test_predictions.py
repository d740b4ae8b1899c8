import numpy as np
import pandas as pd
import pytest

from graft.io import files
from graft.registry.tasks import TASKS
from graft.reporting import predictions
from tests.unit.reporting.conftest import write_predictions

BIG, TINY = "finetune.big", "finetune.tiny"


@pytest.fixture
def crossed(study, runs_of, paths):
    """The predictions of runs that `runs_of` made, of the values that are written first."""

    def made(values):
        runs = runs_of(values)
        for row in runs[runs["state"] == "done"].itertuples():
            write_predictions(paths.run("rte", row.system, row.seed), row.value)
        return lambda: predictions.crossed(runs, study(), paths)

    return made


def test_every_finished_run_is_there_with_its_own_predictions(crossed):
    found = crossed({BIG: {0: 0.9, 1: 0.8}, TINY: {0: 0.7, 1: "failed"}})()
    assert list(found) == ["rte"]
    assert found["rte"].of_mean(BIG).mean == pytest.approx(0.85)
    assert found["rte"].of_mean(TINY).mean == pytest.approx(0.7)


def test_a_task_without_a_finished_run_has_none(crossed):
    assert crossed({BIG: {0: "missing"}})() == {}


@pytest.mark.parametrize(("seen", "accuracy"), [([], 0.85), (list(range(900, 1000)), 0.944), (list(range(1000)), None)])
def test_examples_that_share_a_text_with_train_are_left_out(seen, accuracy, crossed, study, runs_of, paths):
    """The first of 1,000 examples are right, as many as the value says."""
    crossed(values := {BIG: {0: 0.9, 1: 0.8}})
    files.write_json(paths.data("rte") / "manifest.json", {"report_seen_in_train": seen})
    found = predictions.unseen(runs_of(values), study(), paths)
    if accuracy is None:
        assert found == {}
    else:
        assert len(found["rte"].labels) == 1000 - len(seen)
        assert np.mean(list(found["rte"].values(BIG).values())) == pytest.approx(accuracy, abs=1e-3)


@pytest.mark.parametrize("manifest", [None, {"rows": {}}])
def test_of_tasks_that_an_older_version_downloaded_it_is_not_known(manifest, crossed, study, runs_of, paths):
    crossed(values := {BIG: {0: 0.9}})
    if manifest:
        files.write_json(paths.data("rte") / "manifest.json", manifest)
    assert predictions.unseen(runs_of(values), study(), paths) == {}


def test_runs_of_other_examples_are_refused_by_their_file(crossed, paths):
    read = crossed({BIG: {0: 0.9, 1: 0.8}})
    file = paths.run("rte", BIG, 1) / "predictions.parquet"
    pd.read_parquet(file).assign(id=lambda table: table["id"] + 1).to_parquet(file)
    with pytest.raises(ValueError, match="seed-1/predictions.parquet: its examples differ from other runs' of rte"):
        read()


def test_a_file_that_is_missing_or_lacks_a_column_is_named(tmp_path):
    path = tmp_path / "predictions.parquet"
    with pytest.raises(ValueError, match="predictions.parquet is missing; delete the run.json"):
        predictions.read(path, TASKS["rte"])
    pd.DataFrame({"id": [0], "label": [1], "logit_0": [0.5]}).to_parquet(path)
    with pytest.raises(ValueError, match="no column logit_1"):
        predictions.read(path, TASKS["rte"])


def test_a_score_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "predictions.parquet"
    pd.DataFrame({"id": [0, 1], "label": [1.0, 2.0], "score": [1.25, -3.5]}).to_parquet(path)
    answers, told = predictions.read(path, TASKS["stsb"])
    assert told.tolist() == [1.25, -3.5] and answers["label"].tolist() == [1.0, 2.0] and told.dtype == np.float64
