"""A study whose small model has the large one's vocabulary in another order, against the study with one vocabulary."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertTokenizerFast

from graft.config.study import parse
from graft.io import files
from graft.study import answering
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.evaluate import evaluation
from tests.conftest import VOCABULARY, study_values
from tests.unit.programs import run

PAIR = "small-into-large"
# What both models of a pair run in, and merges of every kind.
SYSTEMS = {
    "probe": {"pooling": ["mean"]},
    "distil": {},
    "weak-to-strong": {},
    "merge": {
        "logit_ensemble": {},
        "proxy_tuning": {},
        "concat_probe": {"fit_rows": 64},
        "stitch": {"fit_rows": 64, "text_tokens": 400},
        "side_tuning": {"epochs": 1},
        "ladder": {"epochs": 1},
        "calm": {"epochs": 1},
        "interpolate": {"trials": 3},
        "theseus": {"strengths": [0, 1], "heads": ["transplant"], "fit_rows": 64, "embedding_delta": True},
        "spacewise": {"strengths": [0, 1], "heads": ["label-free"], "map_ridge": 0.1, "fit_rows": 64},
        "functional": {
            **{"strengths": [0, 1], "heads": ["labelled"], "map_ridge": 0.1, "fit_rows": 64},
            "text_tokens": 400,
        },
        "ot_fusion": {"strengths": [0, 0.5], "heads": ["labelled"], "fit_rows": 64},
        "grow": {"strengths": [0, 0.5], "heads": ["labelled"], "fit_rows": 64, "text_tokens": 100},
    },
    "control": {"head-only": {"heads": ["transplant"], "fit_rows": 64}},
}


@pytest.fixture(scope="module")
def models(pico_models, tmp_path_factory):
    """The large model, and the small one with its vocabulary in another order."""
    root = tmp_path_factory.mktemp("models")
    (root / "large").symlink_to(pico_models / "large")
    (root / "small").mkdir()
    order = np.random.default_rng(0).permutation(len(VOCABULARY))
    weights = load_file(pico_models / "small" / "model.safetensors")
    weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"][order]
    save_file(weights, root / "small" / "model.safetensors", {"format": "pt"})
    config = json.loads((pico_models / "small" / "config.json").read_text())
    padding = {"pad_token_id": int(np.flatnonzero(order == 0)[0])}
    (root / "small" / "config.json").write_text(json.dumps(config | padding))
    (root / "small" / "vocab.txt").write_text("\n".join(np.array(VOCABULARY)[order]) + "\n")
    BertTokenizerFast(vocab=str(root / "small" / "vocab.txt")).save_pretrained(root / "small")
    return root


def made(glue, folder, models, one):
    """A study with all of its systems on one task of pairs of texts; without clipping, which sums in another order."""
    values = study_values(glue, models, seeds=[0], systems=SYSTEMS, launch={"precision": "fp32"}, include=["rte/*"])
    for model in values["models"].values():
        model["finetune"]["rte"] |= {"epochs": 1, "clip": 1e6}
    if not one:
        values["models"]["small"].pop("tokenizer")
    grid, paths = Grid(parse(values)), Paths(folder / "pico")
    files.write_json(paths.study, grid.study.model_dump(mode="json", by_alias=True))
    for step in graph.with_inputs(grid, [evaluation(one) for one in grid.runs]):
        run(grid, paths, step)
    return grid, paths


@pytest.fixture(scope="module")
def studies(pico_glue, pico_models, models, tmp_path_factory):
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    return made(pico_glue, folders[0], pico_models, True), made(pico_glue, folders[1], models, False)


def test_every_system_predicts_the_same_bit_for_bit(studies):
    (grid, one), (_, two) = studies
    assert {run.system.method for run in grid.runs} >= set(SYSTEMS["merge"])
    for run_ in grid.runs:
        folders = [paths.run("rte", run_.system.name, run_.seed) for paths in (one, two)]
        first, second = ((folder / "predictions.parquet").read_bytes() for folder in folders)
        assert first == second, run_.id


def test_costs_are_the_same(studies):
    (grid, one), (_, two) = studies
    for run_ in grid.runs:
        costs = [
            files.read_json(paths.run("rte", run_.system.name, run_.seed) / "run.json")["cost"] for paths in (one, two)
        ]
        for name in ("train_flops_parts", "inference_flops", "inference_flops_real", "parameters"):
            assert costs[0][name] == costs[1][name], (run_.id, name)


def test_only_a_study_of_two_vocabularies_has_the_tokens_of_both_and_where_they_are(studies):
    (_, one), (_, two) = studies
    names = [{path.name for path in paths.tokens("rte", "large").iterdir()} for paths in (one, two)]
    assert names[0] == names[1] and not (one.root / "locations").exists()
    assert {path.name for path in (two.root / "locations" / "rte").iterdir()} == {"large", "small"}
    assert not one.tokens("rte", "small").exists() and two.tokens("rte", "small").is_dir()


def test_a_second_pair_of_another_vocabulary_leaves_what_is_finished_as_it_is(study_config):
    before = Grid(parse(study_config))
    study_config["models"]["other"] = {**study_config["models"]["small"], "tokenizer": None}
    study_config["pairs"].append({"large": "large", "small": "other"})
    after = Grid(parse(study_config))
    for run_ in before.runs:
        assert evaluation(run_).fingerprint(after) == evaluation(run_).fingerprint(before)
    rules = {step.rule for step in graph.of_study(after)}
    assert "locate_tokens" in rules and "locate_tokens" not in {step.rule for step in graph.of_study(before)}


@pytest.mark.parametrize("method", ["stitch", "calm", "proxy_tuning"])
def test_a_composite_can_be_used_and_exported_with_both_tokenizers(studies, method, tmp_path):
    from graft.cli.exporting import export

    (_, one), (grid, two) = studies
    name = f"merge.{method}.{PAIR}"
    texts = [("a good film", "the plot is dull"), ("the woman follows a dog", "a woman sees the dog")]
    expected = answering.load(one.run("rte", name, 0)).logits(texts)
    assert np.array_equal(answering.load(two.run("rte", name, 0)).logits(texts), expected)
    (run_,) = (run_ for run_ in grid.runs if run_.system.name == name)
    export(grid, two, run_, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").glob("tokenizer*")} == {"tokenizer", "tokenizer-small"}
    alone = answering.load((tmp_path / "out").rename(tmp_path / "moved"))
    assert torch.equal(torch.from_numpy(alone.logits(texts)), torch.from_numpy(expected))
