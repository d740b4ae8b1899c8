"""Graft in Python: its examples run, and `import graft` costs nothing."""

import doctest
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import graft
from graft import api
from graft.encoders.models import load_classifier, new_classifier
from graft.encoders.saving import save_model
from tests.conftest import sentiment_rows
from tests.unit.study.test_imports import loaded_after

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(pico_models, tmp_path, monkeypatch):
    """The working folder, with the models and the study that the examples name, and their texts."""
    for name in ("large", "small"):
        shutil.copytree(pico_models / name, tmp_path / name)
    model = new_classifier(pico_models / "small", ("negative", "positive"), seed=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4)))
    (tmp_path / "small-finetuned").mkdir()
    save_model(model, tmp_path / "small-finetuned")
    shutil.copy(pico_models / "small" / "tokenizer.json", tmp_path / "small-finetuned")
    (tmp_path / "results/reviews/tables").mkdir(parents=True)
    comparison = pd.DataFrame({"task": ["reviews"], "system": ["finetune.large"], "mean": [0.91], "p_value": [None]})
    comparison.to_csv(tmp_path / "results/reviews/tables/comparison.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return [text for text, _ in sentiment_rows(np.random.default_rng(0), 120)]


@pytest.mark.parametrize("name", graft.__all__)
def test_the_examples_print_what_they_say(name, here):
    examples = doctest.DocTestFinder().find(getattr(graft, name), name, globs={**vars(api), "texts": here})
    (example,) = examples
    assert example.examples and doctest.DocTestRunner().run(example).failed == 0


def test_the_page_prints_what_it_says(here):
    found = doctest.testfile(str(ROOT / "docs" / "python.md"), module_relative=False, globs={"texts": here})
    assert found.attempted > 5 and found.failed == 0


def test_import_graft_is_light():
    code = "import sys, graft; print(len(sys.modules))"
    bare = subprocess.run([sys.executable, "-c", code.replace(", graft", "")], capture_output=True, text=True)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert int(done.stdout) - int(bare.stdout) < 40
    assert {"torch", "transformers"} & loaded_after("from graft import compare, tables, load, merge") == set()
    with pytest.raises(AttributeError, match="no attribute 'mrege'"):
        graft.mrege  # noqa: B018


def test_a_merge_is_that_of_the_command_and_can_be_kept(here, tmp_path):
    given = "large", "small-finetuned", "small"
    model = graft.merge(*given, method="spacewise", texts=here, out="kept", map_ridge=0.1)
    Path("texts.txt").write_text("\n".join(here) + "\n")
    command = [sys.executable, "-m", "graft", "merge", "--method", "spacewise", "--option", "map_ridge=0.1"]
    for flag, folder in zip(("--large", "--small-finetuned", "--small-pretrained"), given, strict=True):
        command += [flag, str(tmp_path / folder)]
    command += ["--text", str(tmp_path / "texts.txt"), "--out", str(tmp_path / "by-command")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and "accelerator" not in done.stdout + done.stderr, done.stderr
    for name, tensor in load_classifier("by-command").state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor)
    assert graft.load("kept")(here[:2])[0]["label"] in ("negative", "positive") and Path("kept/README.md").is_file()


def test_a_labelled_head_takes_rows(here):
    rows = [(text, ("negative", "positive")[i % 2]) for i, text in enumerate(here)]
    given = {"method": "spacewise", "texts": here, "head": "labelled", "map_ridge": 0.1}
    first, second = (
        graft.merge("large", "small-finetuned", "small", labelled=labelled, **given) for labelled in (rows, rows[::-1])
    )
    assert not torch.equal(first.classifier.weight, torch.zeros(1)) and first.config.num_labels == 2
    torch.testing.assert_close(first.bert.state_dict(), second.bert.state_dict())
    with pytest.raises(ValueError, match="needs labels"):
        graft.merge("large", "small-finetuned", "small", **given)


def test_a_comparison_says_as_much_as_its_seeds_allow():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    good, bad = (np.where(rng.random((12, 400)) < share, labels, 1 - labels) for share in (0.9, 0.6))
    found = graft.compare(good, bad, labels)
    assert found.verdict == "better" and found.n_seeds == 12
    assert found.interval[0] < found.difference < found.interval[1]
    assert graft.compare(bad, good, labels).verdict == "worse"
    assert graft.compare(good, good, labels, margin=0.01).verdict == "equivalent"
    few = graft.compare(good[:5], bad[:5], labels)
    assert few.interval and few.verdict is None and few.p_value is None
    one = graft.compare(good[0], bad[0], labels)
    assert one.interval is None and one.difference == np.mean(good[0] == labels) - np.mean(bad[0] == labels)
    assert "no verdict: it takes 12 seeds" in str(one)
    names = np.array(["no", "yes"])
    assert graft.compare(names[good], names[bad], names[labels]) == found
    assert graft.compare({"a": good[0], "b": good[1]}, {"b": bad[1]}, labels).n_seeds == 1


def test_what_cannot_be_compared_is_refused():
    labels = [0, 1, 1]
    for given, said in (
        (({1: labels}, {2: labels}, labels), "no seed is in both: 1 and 2"),
        ((labels, labels[:2], labels), "2 predictions for 3 examples"),
        ((labels, labels, labels, "acuracy"), "acuracy"),
        ((["a"], ["b"], ["a"], "f1"), "give class ids"),
    ):
        with pytest.raises(ValueError, match=said):
            graft.compare(*given)


def test_tables_are_found_by_name_and_by_folder(here, tmp_path):
    one, other = graft.tables("reviews"), graft.tables(tmp_path / "results" / "reviews")
    assert one.keys() == other.keys() == {"comparison"} and one["comparison"]["p_value"].isna().all()
    assert one["comparison"]["mean"].dtype == float
    with pytest.raises(ValueError, match="no tables in results/nix/tables or nix/tables"):
        graft.tables("nix")
