"""Systems of a pico study that is made in this process, exported, and asked for labels after the study is gone."""

import shutil

import numpy as np
import pandas as pd
import pytest
from huggingface_hub import ModelCard
from transformers import AutoTokenizer, pipeline

from graft.cli.exporting import export
from graft.config.study import parse
from graft.merging.card import CARD
from graft.study.answering import load
from graft.study.grid import Grid
from graft.study.paths import Paths
from tests.unit.cli.test_cards import TASK, values_of
from tests.unit.programs import finish


@pytest.fixture(scope="module")
def study(pico_glue, pico_models, tmp_path_factory):
    """Grid and paths of a finished study with a system of every kind."""
    values = values_of(pico_glue, pico_models)
    values["systems"]["merge"] |= {"proxy_tuning": {}, "side_tuning": {"epochs": 1}, "calm": {"epochs": 1}}
    values["systems"]["probe"]["pooling"].append("layers")
    grid, paths = Grid(parse(values)), Paths(tmp_path_factory.mktemp("exporting") / "pico")
    finish(grid, paths)
    return grid, paths


@pytest.fixture(scope="module")
def elsewhere(study, tmp_path_factory):
    """Every run's exported folder, by run, in another place than it was written to."""
    grid, paths = study
    first, last = (tmp_path_factory.mktemp(name) for name in ("exported", "elsewhere"))
    for run in grid.runs:
        export(grid, paths, run, first / run.id)
    shutil.move(first, last)
    return {run: last / first.name / run.id for run in grid.runs}


@pytest.fixture
def gone(study):
    """Paths of the study, which is not where it was."""
    _, paths = study
    yield Paths(paths.root.rename(paths.root.with_name("gone")))
    paths.root.with_name("gone").rename(paths.root)


def rows_of(paths):
    """The texts of the report split."""
    table = pd.read_parquet(paths.data(TASK) / "report.parquet")
    return list(zip(table["text_a"], table["text_b"], strict=True))


def test_a_system_of_any_kind_answers_elsewhere_as_in_its_study(elsewhere, gone):
    pairs, kinds = rows_of(gone), set()
    for run, folder in elsewhere.items():
        system = load(folder)
        told = pd.read_parquet(gone.run(*run.made) / "predictions.parquet")
        logits = told[["logit_0", "logit_1"]].to_numpy()
        np.testing.assert_allclose(system.logits(pairs), logits, atol=1e-5, err_msg=run.id)
        labels = [answer["label"] for answer in system(pairs)]
        assert labels == [("entailment", "not_entailment")[i] for i in logits.argmax(axis=1)], run.id
        assert all(0.5 <= answer["score"] <= 1 for answer in system(pairs[:3]))
        kinds.add(run.system.name.split(".")[1] if run.system.kind == "composite" else run.system.kind)
    assert kinds >= {*"finetune probe baseline weights control stitch concat_probe logit_ensemble".split()}
    assert kinds >= {*"proxy_tuning ladder side_tuning calm".split()}


def test_a_classifier_is_one_for_transformers_too(elsewhere, gone):
    pairs = rows_of(gone)
    folder = next(folder for run, folder in elsewhere.items() if run.system.kind == "weights")
    answers = pipeline("text-classification", str(folder), tokenizer=AutoTokenizer.from_pretrained(folder))
    theirs = [answers({"text": a, "text_pair": b}) for a, b in pairs[:5]]
    ours = load(folder)(pairs[:5])
    assert [answer["label"] for answer in ours] == [answer["label"] for answer in theirs]
    assert [answer["score"] for answer in ours] == pytest.approx([answer["score"] for answer in theirs], abs=1e-5)


def test_its_card_is_the_studys_but_says_that_it_stands_alone(elsewhere):
    for folder in elsewhere.values():
        card = ModelCard.load(folder / CARD)
        assert card.data.eval_results and "It stands alone" in card.text and "keep them" not in card.text
        assert ("AutoModel" in card.text) == (folder / "config.json").is_file()


def test_a_part_that_two_parts_share_is_there_once(elsewhere):
    of = {run.system.method: folder for run, folder in elsewhere.items()}
    assert {path.name for path in (of["proxy_tuning"] / "parts").iterdir()} == {
        "probe",
        "encoder",
        "tuned",
        "untuned",
        "encoder~2",
    }
    assert {path.name for path in (of["logit_ensemble"] / "parts").iterdir()} == {"probe", "encoder", "small"}


def test_a_study_answers_where_it_is(study):
    grid, paths = study
    pairs = rows_of(paths)
    for run in grid.runs:
        system = load(paths.run(*run.made))
        assert len(system(pairs[:2])) == 2 and system.reading.max_tokens == 32


def test_what_is_there_is_not_overwritten_and_a_changed_part_is_refused(study, tmp_path):
    grid, paths = study
    run = next(run for run in grid.runs if run.system.method == "stitch")
    with pytest.raises(ValueError, match="already exists"):
        export(grid, paths, run, tmp_path)
    part = paths.run(TASK, "finetune.small", 0) / "model" / "config.json"
    text = part.read_text()
    part.write_text(text + " ")
    with pytest.raises(ValueError, match="not the file that .* was made from"):
        export(grid, paths, run, tmp_path / "new")
    part.write_text(text)
    assert not list(tmp_path.iterdir())
