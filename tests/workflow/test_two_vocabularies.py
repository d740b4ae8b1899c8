"""A whole study of a pair whose small model reads every second word in pieces: two tasks, every merge, one seed."""

import json
import re
import subprocess
import sys

import pandas as pd
import pytest

import graft
from graft.registry import methods
from tests.conftest import VOCABULARY, study_values, write_bert
from tests.workflow.conftest import environment, snakemake
from tests.workflow.recomputing import check

PAIR = "small-into-large"
SYSTEMS = {
    "probe": {"pooling": ["mean"]},
    "distil": {},
    "merge": {
        **{name: {} for name in ("logit_ensemble", "proxy_tuning", "concat_probe", "stitch")},
        **{name: {"epochs": 1} for name in ("side_tuning", "ladder", "calm")},
        "interpolate": {"trials": 3},
        **{name: {"heads": ["labelled"], "strengths": [0, 0.5]} for name in ("ot_fusion", "grow")},
        "theseus": {"strengths": [0, 1]},
        "spacewise": {"heads": ["labelled"], "strengths": [0, 1], "map_ridge": 0.1},
        "functional": {"heads": ["labelled"], "strengths": [0, 1], "map_ridge": 0.1, "text_tokens": 500},
    },
    "control": {"head-only": {"heads": ["labelled"]}},
}


@pytest.fixture(scope="module")
def finished(pico_glue, tmp_path_factory):
    """Folder, results and config."""
    folder = tmp_path_factory.mktemp("two")
    write_bert(folder / "models" / "large", layers=4, width=24, heads=4, seed=1)
    words = [[word] if n % 2 or len(word) < 4 else [word[:2], f"##{word[2:]}"] for n, word in enumerate(VOCABULARY[5:])]
    pieces = dict.fromkeys([*VOCABULARY[:5], *(piece for word in words for piece in word)])
    write_bert(folder / "models" / "small", layers=2, width=12, heads=2, seed=2, vocabulary=[*pieces])
    values = study_values(pico_glue, folder / "models", seeds=[0], systems=SYSTEMS, include=["sst2/*", "stsb/*"])
    values["models"]["small"].pop("tokenizer")
    config = folder / "config.json"
    config.write_text(json.dumps(values))
    done = snakemake(folder, config)
    assert done.returncode == 0, done.stdout[-3000:]
    return folder, folder / "results" / "pico", config


def test_every_merge_is_made_on_both_tasks_and_evaluated(finished):
    _, results, _ = finished
    table = pd.read_csv(results / "tables" / "comparison.csv")
    made = {
        task: {name.split(".")[1] for name in own["system"] if name.startswith("merge.")}
        for task, own in table.groupby("task")
    }
    assert made == {task: {*methods.table("weights"), *methods.table("composite")} for task in ("sst2", "stsb")}
    assert table["mean"].notna().all() and check(results) == len(list(results.glob("runs/*/*/*/run.json")))


def test_both_models_read_their_own_tokens_and_are_calibrated_by_spans(finished):
    _, results, _ = finished
    tokens = {
        name: json.loads((results / "tokens" / "sst2" / name / "manifest.json").read_text())
        for name in ("large", "small")
    }
    assert tokens["large"]["vocabulary"] != tokens["small"]["vocabulary"]
    for path in results.glob("statistics/*/*/*/manifest.json"):
        made = json.loads(path.read_text())
        assert 0 < made["spans"] <= made["tokens"]


def test_what_is_done_is_not_done_again(finished):
    folder, _, config = finished
    assert "Nothing to be done" in snakemake(folder, config).stdout


def test_a_composite_is_exported_and_predicts_with_both_tokenizers(finished, tmp_path):
    folder, _, _ = finished
    command = [sys.executable, "-m", "graft", "export", "pico", "sst2", f"merge.stitch.{PAIR}", "0"]
    done = subprocess.run(
        [*command, str(tmp_path / "out")], cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answers = graft.load(tmp_path / "out")(["a good film", "the plot is dull"])
    assert all(re.fullmatch("negative|positive", answer["label"]) for answer in answers)
