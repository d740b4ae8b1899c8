import zipfile

import numpy as np
import pytest

from graft.cli import glue
from graft.registry.tasks import TASKS


def test_the_zip_has_every_file_of_glue_with_the_official_numbers_of_rows(tmp_path):
    glue.write(tmp_path / "one.zip", {"SST-2": (["7", "8"], ["1", "0"])})
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert set(archive.namelist()) == {f"{name}.tsv" for name in glue.TEST_SETS} and len(glue.TEST_SETS) == 11
        assert archive.read("SST-2.tsv").decode() == "index\tprediction\n7\t1\n8\t0\n"
        lines = archive.read("QNLI.tsv").decode().splitlines()
    assert len(lines) == 1 + 5463 and lines[:2] == ["index\tprediction", "0\tentailment"]


def test_the_same_predictions_are_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        glue.write(tmp_path / name, {"RTE": (range(2), ["entailment", "not_entailment"])})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_labels_are_as_glue_wants_them():
    assert glue.written("sst2", TASKS["sst2"], np.array([1, 0])) == ["1", "0"]
    assert glue.written("rte", TASKS["rte"], np.array([1, 0])) == ["not_entailment", "entailment"]
    assert glue.written("stsb", TASKS["stsb"], np.array([-0.5, 2.34567, 5.5])) == ["0.000", "2.346", "5.000"]


def test_classes_in_another_order_or_called_by_numbers_mean_the_same():
    assert glue.written("sst2", TASKS["sst2"].replaced(labels=("positive", "negative")), np.array([0])) == ["1"]
    assert glue.written("rte", TASKS["rte"].replaced(labels=("0", "1")), np.array([1])) == ["not_entailment"]


def test_classes_that_glue_has_not_are_refused():
    with pytest.raises(ValueError, match=r"tasks.sst2.labels: \['bad', 'good'\] differ from GLUE's, which are"):
        glue.written("sst2", TASKS["sst2"].replaced(labels=("bad", "good")), np.array([0]))
