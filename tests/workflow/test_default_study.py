"""The default study's first steps at its real shapes, from a stand-in for the hub."""

import json
import os
import subprocess

import pandas as pd
import pytest
from safetensors import safe_open

from benchmarks import rehearsal
from graft.config.study import parse
from graft.io import files
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps.finetune_model import FinetuneModel
from tests.unit.hub import serving
from tests.workflow.conftest import command, environment

MERGE = "merge.theseus.labelled.tinybert-4l-into-bert-base"
FEW = ["rte/finetune.tinybert-4l/*", f"rte/{MERGE}/*"]


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    root = tmp_path_factory.mktemp("hub")
    rehearsal.write_hub(root, rows=32)
    with serving(root) as endpoint:
        yield endpoint


def snakemake(folder, config, hub, *arguments):
    asked = environment() | {"HF_ENDPOINT": hub, "HF_HOME": str(folder / "cache")}
    done = subprocess.run(
        command(folder, config, *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=asked
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.fixture(scope="module")
def finished(hub, tmp_path_factory):
    """Folder and values of a study of one fine-tuning and one merge of the default config."""
    folder = tmp_path_factory.mktemp("default")
    values = rehearsal.config_of(rows=32, include=FEW)
    values["models"]["tinybert-4l"]["finetune"]["rte"]["epochs"] = 1
    (folder / "config.json").write_text(json.dumps(values))
    snakemake(folder, folder / "config.json", hub)
    return folder, values


def test_the_default_study_downloads_fine_tunes_merges_and_evaluates(finished):
    folder, values = finished
    table = pd.read_csv(folder / "results/rehearsal/tables/comparison.csv").set_index("system")
    assert (
        set(table.index) == {"finetune.tinybert-4l", MERGE, "search.merges"} and table["mean"].between(0.2, 0.8).all()
    )
    assert table.loc[MERGE, "parameters"] > 109e6 > 15e6 > table.loc["finetune.tinybert-4l", "parameters"] > 14e6
    step = FinetuneModel("rte", "finetune.tinybert-4l", 0)
    built = files.read_json(step.output(Paths(folder / "results/rehearsal")))
    assert built["fingerprint"] == step.fingerprint(Grid(parse(values)))


def test_one_file_of_weights_is_fetched_of_a_model_published_twice(finished):
    folder, _ = finished
    fetched = {path.name for path in (folder / "cache").rglob("snapshots/*/*") if "bert-base" in str(path)}
    assert "model.safetensors" in fetched and not [name for name in fetched if name.endswith(".bin")]


def test_only_what_is_kept_stays(finished):
    results = finished[0] / "results" / "rehearsal"
    assert {path.parts[-3] for path in results.glob("runs/*/*/*/model")} == {"finetune.tinybert-4l", MERGE}
    assert not [*results.glob("embeddings/*/*"), *results.glob("statistics/*/*/*"), *results.glob("sweeps/*/*/*/*")]
    # Weights of both models as they were fetched, of the fine-tuned small one, and of the merge.
    assert 0.9e9 < rehearsal.size_of(results) < 1.1e9


@pytest.mark.parametrize("repo", rehearsal.TINYBERTS)
def test_both_layouts_of_tinybert_are_read(hub, tmp_path, repo):
    values = rehearsal.config_of(rows=32, include=FEW)
    values["models"]["tinybert-4l"]["source"]["repo"] = repo
    (tmp_path / "config.json").write_text(json.dumps(values))
    target = "results/rehearsal/models/tinybert-4l/manifest.json"
    snakemake(tmp_path, tmp_path / "config.json", hub, "--", target)
    with safe_open(tmp_path / os.path.dirname(target) / "model.safetensors", "np") as weights:
        assert weights.get_slice("embeddings.word_embeddings.weight").get_shape() == [30522, 312]
