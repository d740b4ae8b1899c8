import shutil

import pandas as pd
import pytest

from graft.config.tasks import Task
from graft.io import files
from graft.tasks import generated
from graft.tasks.prepare import prepare_task


def prepared(glue, out, **limits):
    spec = {"source": {"kind": "tsv", "folder": str(glue / "RTE")}, "limits": limits}
    return prepare_task("rte", Task.model_validate(spec), out, "x")


def test_the_manifest_says_what_is_there(pico_glue, tmp_path):
    manifest = prepared(pico_glue, tmp_path / "rte", select=20, train=100)
    rows = manifest["rows"]
    assert rows["published_train"] == 240 and rows["train"] == 100 and rows["report"] == 60
    for split in ("train", "select", "report"):
        assert len(pd.read_parquet(tmp_path / "rte" / f"{split}.parquet")) == rows[split]
        assert sum(manifest["label_balance"][split].values()) == pytest.approx(1)
    for name, expected in manifest["sha256"].items():
        assert files.sha256(tmp_path / "rte" / name) == expected


def test_a_limit_on_one_split_never_changes_another(pico_glue, tmp_path):
    prepared(pico_glue, tmp_path / "a", report=10, train=50)
    prepared(pico_glue, tmp_path / "b", report=10, train=100)
    for split in ("select", "report", "report_labels"):
        assert files.sha256(tmp_path / "a" / f"{split}.parquet") == files.sha256(tmp_path / "b" / f"{split}.parquet")


def test_splits_are_the_same_bytes_twice(pico_glue, tmp_path):
    first, second = (prepared(pico_glue, tmp_path / name, train=50) for name in "ab")
    assert first["sha256"] == second["sha256"]


def test_a_generated_task_is_written_as_tsv_and_read_like_anybodys(tmp_path):
    source = {"kind": "generated", "grammar": "entailment", "seed": 3, "train": 200, "dev": 50}
    task = Task.model_validate({"source": source, "limits": {"select": 20}})
    manifest = prepare_task("rte", task, tmp_path / "made", "x")
    assert manifest["source"] == source
    generated.write("entailment", 3, 200, 50, tmp_path)
    for file in ("train.tsv", "dev.tsv"):
        assert (tmp_path / "made" / "tsv" / file).read_bytes() == (tmp_path / file).read_bytes()
    copied = shutil.copytree(tmp_path / "made" / "tsv", tmp_path / "copied")
    spec = {"source": {"kind": "tsv", "folder": str(copied)}, "limits": {"select": 20}}
    read = prepare_task("rte", Task.model_validate(spec), tmp_path / "read", "x")
    assert read["sha256"] == manifest["sha256"]
    assert sum(read["rows"][split] for split in ("train", "select")) == 200 and read["rows"]["report"] == 50
