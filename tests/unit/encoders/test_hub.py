"""The real download code, against a local stand-in for the hub."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from graft.io import files
from tests.unit.hub import serving, write_rte, write_tinybert

ROOT = Path(__file__).parents[3]
COMMIT = "a" * 40

MODEL = """
import sys
from pathlib import Path
from graft.encoders.pretrained import fetch_model
from graft.config.models import HubModel
fetch_model(HubModel(kind="hub", repo="owner/tiny", revision="%s"), "models.tiny.source", Path(sys.argv[1]), "x")
"""
TASK = """
import sys
from pathlib import Path
from graft.config.tasks import Task
from graft.tasks.prepare import prepare_task
source = {"kind": "hub", "repo": "owner/glue", "config": "rte", "revision": "%s"}
prepare_task("rte", Task.model_validate({"source": source}), Path(sys.argv[1]), "x")
"""
TEXTS = """
import sys
from graft.config.sources import HubData
from graft.tasks.readers import read_texts
from graft.registry.tasks import TASKS
source = HubData(kind="hub", repo="owner/glue", config="rte", revision="%s")
try:
    read_texts(source, TASKS["rte"], "test", "tasks.rte.source").to_parquet(sys.argv[1])
except ValueError as error:
    sys.exit(str(error))
"""


def fetch(program: str, hub: Path, out: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The hub's address is read on import, so each download runs in a new process."""
    with serving(hub) as endpoint:
        return subprocess.run(
            [sys.executable, "-c", program % COMMIT, str(out)],
            env={**os.environ, "PYTHONPATH": str(ROOT), "HF_ENDPOINT": endpoint, "HF_HOME": str(hub / "cache")}
            | environment,
            capture_output=True,
            text=True,
        )


@pytest.fixture
def hub(tmp_path, pico_models, pico_glue) -> Path:
    import torch
    from safetensors.torch import load_file

    model = tmp_path / "hub" / "models" / "owner" / "tiny"
    model.mkdir(parents=True)
    torch.save(load_file(pico_models / "small" / "model.safetensors"), model / "pytorch_model.bin")
    files.copy_into(pico_models / "small", model, ["config.json", "vocab.txt"])
    (model / "script.py").write_text("raise SystemExit('code of the hub ran')")
    write_rte(tmp_path / "hub" / "datasets" / "owner" / "glue" / "rte", pico_glue / "RTE")
    return tmp_path / "hub"


def test_a_pickled_model_on_the_hub_arrives_as_safetensors(hub, tmp_path, pico_models):
    from safetensors.torch import load_file

    done = fetch(MODEL, hub, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    ours, theirs = (load_file(f / "model.safetensors") for f in (tmp_path / "out", pico_models / "small"))
    assert all(ours[name].equal(tensor) for name, tensor in theirs.items())
    assert files.read_json(tmp_path / "out" / "manifest.json")["source"]["revision"] == COMMIT
    assert not (tmp_path / "out" / "script.py").exists()


@pytest.mark.parametrize("own", [False, True])
def test_both_versions_of_tinybert_come_from_the_hub(tmp_path, pico_models, own):
    from safetensors.torch import load_file

    state, heads = write_tinybert(tmp_path / "hub" / "models" / "owner" / "tiny", pico_models / "small", own)
    done = fetch(MODEL, tmp_path / "hub", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    ours = load_file(tmp_path / "out" / "model.safetensors")
    assert all(ours[name].equal(tensor) for name, tensor in state.items())
    projections = load_file(tmp_path / "out" / "fit_dense.safetensors")
    assert len(projections) == 2 * len(heads)


def test_a_model_in_several_files_comes_from_the_hub(hub, tmp_path, pico_models):
    from safetensors.torch import load_file
    from transformers import BertModel

    model = hub / "models" / "owner" / "tiny"
    (model / "pytorch_model.bin").unlink()
    BertModel.from_pretrained(pico_models / "small").save_pretrained(model, max_shard_size="10KB")
    assert len(list(model.glob("model-*.safetensors"))) > 1
    done = fetch(MODEL, hub, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    ours, theirs = (load_file(f / "model.safetensors") for f in (tmp_path / "out", pico_models / "small"))
    assert all(ours[name].equal(tensor) for name, tensor in theirs.items())


def test_of_a_model_that_is_published_twice_only_the_safetensors_are_fetched(hub, tmp_path, pico_models):
    files.copy_into(pico_models / "small", hub / "models" / "owner" / "tiny", ["model.safetensors"])
    done = fetch(MODEL, hub, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    fetched = {path.name for path in (hub / "cache").rglob("*")}
    assert "model.safetensors" in fetched and "pytorch_model.bin" not in fetched


def test_a_pickle_is_fetched_beside_safetensors_of_another_kind(hub, tmp_path, pico_models):
    model = hub / "models" / "owner" / "tiny"
    (model / "onnx").mkdir()
    for name in ("model.fp16.safetensors", "onnx/model.safetensors"):
        shutil.copyfile(pico_models / "small" / "model.safetensors", model / name)
    done = fetch(MODEL, hub, tmp_path / "out")
    assert done.returncode == 0, done.stderr


def test_a_data_set_on_the_hub_reads_like_its_tsv(hub, tmp_path):
    done = fetch(TASK, hub, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    report = pd.read_parquet(tmp_path / "out" / "report.parquet")
    theirs = pd.read_parquet(hub / "datasets/owner/glue/rte/validation-00000-of-00001.parquet")
    assert report["text_a"].tolist() == theirs["sentence1"].tolist()
    labels = pd.read_parquet(tmp_path / "out" / "report_labels.parquet")
    assert labels["label"].tolist() == theirs["label"].tolist()


def test_a_test_split_on_the_hub_is_read_without_its_labels(hub, tmp_path):
    done = fetch(TEXTS, hub, tmp_path / "test.parquet")
    assert done.returncode == 0, done.stderr
    theirs = pd.read_parquet(hub / "datasets/owner/glue/rte/test-00000-of-00001.parquet")
    found = pd.read_parquet(tmp_path / "test.parquet")
    assert list(found) == ["index", "text_a", "text_b"]
    assert found["index"].tolist() == list(range(len(theirs)))
    assert found["text_b"].tolist() == theirs["sentence2"].tolist()


def test_a_data_set_that_cannot_be_downloaded_is_reported_in_one_sentence(hub, tmp_path):
    done = fetch(TEXTS, hub, tmp_path / "test.parquet", HF_HUB_OFFLINE="1")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("owner/glue@aaaaaaaa: cannot be downloaded: ")


def test_compute_jobs_with_the_hub_switched_off_fail_at_once(hub, tmp_path):
    done = fetch(MODEL, hub, tmp_path / "out", HF_HUB_OFFLINE="1")
    assert done.returncode != 0 and not (tmp_path / "out").exists()
