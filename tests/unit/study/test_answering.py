"""Texts in, labels and scores out: of classifiers as transformers has them."""

import shutil

import pytest
import torch
from transformers import AutoTokenizer, pipeline

from graft.encoders.models import new_classifier
from graft.encoders.saving import save_model
from graft.study.answering import Reading, load

TEXTS = ["a good film", "the plot is dull", "a very fine camera and a man in the city"]


@pytest.fixture
def classifier(pico_models, tmp_path):
    """Writes a fine-tuned classifier with its tokenizer."""

    def make(labels=("no", "yes"), **config):
        model = new_classifier(pico_models / "small", labels, seed=0)
        model.config.update(config)
        with torch.no_grad():
            model.classifier.weight.mul_(20)
        save_model(model, tmp_path / "classifier")
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(pico_models / "small" / file, tmp_path / "classifier")
        return tmp_path / "classifier"

    return make


@pytest.mark.parametrize(
    ("labels", "config"),
    [
        (("no", "yes"), {}),
        (("a", "b", "c"), {}),
        (("a", "b", "c"), {"problem_type": "multi_label_classification"}),
        (("spam",), {"problem_type": None}),
        (None, {}),
    ],
)
def test_it_answers_as_transformers_pipeline_does(classifier, labels, config):
    folder = classifier(labels, **config)
    answers = pipeline("text-classification", str(folder), tokenizer=AutoTokenizer.from_pretrained(folder))
    ours, theirs = load(folder)(TEXTS), answers(TEXTS)
    assert [answer["label"] for answer in ours] == [answer["label"] for answer in theirs]
    assert [answer["score"] for answer in ours] == pytest.approx([answer["score"] for answer in theirs], abs=1e-5)


def test_texts_that_are_no_list_or_of_unlike_number_are_refused(classifier):
    system = load(classifier())
    assert system([]) == [] and system.logits([]).shape == (0, 2)
    assert system([("a film", "a plot")])[0]["label"] in ("no", "yes")
    for texts, said in {
        "a good film": "one string was given",
        ("a film", ("a film", "a plot")): "number 2 is .* reads one text each",
        (("a", "b", "c"),): "number 1 .* a pair",
        (3,): "number 1",
    }.items():
        with pytest.raises((ValueError, TypeError), match=said):
            system(texts)


def test_a_folder_that_says_its_task_is_read_as_it_says(classifier, pico_models):
    folder = classifier()
    Reading(("bad", "good"), 2, 8).write(folder, pico_models / "small")
    system = load(folder)
    assert system.reading == Reading(("bad", "good"), 2, 8)
    assert system([("a film", "a plot")])[0]["label"] in ("bad", "good")
    with pytest.raises(ValueError, match="reads a pair of texts each"):
        system(TEXTS)


def test_what_is_no_system_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no system"):
        load(tmp_path)
