"""Composites of two folders, made without a study: folders that stand alone."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

import graft
from graft.encoders.models import load_classifier, new_classifier
from graft.encoders.saving import save_model
from graft.flops.counts import encoder_flops
from graft.registry import methods
from graft.registry.shapes import Shape
from tests.conftest import sentiment_rows

CLOSED = ("concat_probe", "logit_ensemble", "proxy_tuning", "stitch")
TRAINED = ("calm", "ladder", "side_tuning")
LABELS = ("negative", "positive")


@pytest.fixture(scope="module")
def world(pico_models, tmp_path_factory):
    """Folders: large, small, and small fine-tuned for classes and for a score."""
    root = tmp_path_factory.mktemp("world")
    for name in ("large", "small"):
        shutil.copytree(pico_models / name, root / name)
    for name, labels in (("classes", LABELS), ("score", None)):
        model = new_classifier(root / "small", labels, seed=3)
        generator = torch.Generator().manual_seed(4)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        (root / name).mkdir()
        save_model(model, root / name)
        shutil.copy(root / "small" / "tokenizer.json", root / name)
    return root


def rows(count=300, seed=0):
    return [(text, LABELS[label]) for text, label in sentiment_rows(np.random.default_rng(seed), count)]


def merged(world, method, kind="classes", labelled=None, **options):
    texts = [text for text, _ in rows()]
    labelled = rows() if labelled is None else labelled
    return graft.merge(
        *(world / name for name in ("large", kind, "small")), method=method, texts=texts, labelled=labelled, **options
    )


def test_these_are_all_composites():
    assert {*CLOSED, *TRAINED} == set(methods.table("composite"))


@pytest.mark.parametrize("method", CLOSED)
def test_it_answers_anywhere_and_has_learnt_its_labels(method, world, tmp_path):
    there = shutil.copytree(world, tmp_path / "world")
    merged(there, method, out=tmp_path / "first")
    shutil.rmtree(there)
    system = graft.load((tmp_path / "first").rename(tmp_path / "second"))
    texts, labels = zip(*rows(200, seed=1), strict=True)
    assert np.mean([answer["label"] == label for answer, label in zip(system(texts), labels, strict=True)]) > 0.58
    with pytest.raises(ValueError, match="reads one text each"):
        system([("a film", "a plot")])
    card = ModelCard.load(tmp_path / "second" / "README.md")
    assert card.data.library_name == "graft" and method in card.data.tags and "stands alone" in card.text
    made = json.loads((tmp_path / "second" / "graft.json").read_text())
    assert made["choices"] and made["strength"] is None and min(made["flops"].values()) > 0


@pytest.mark.parametrize("method", CLOSED)
def test_a_task_may_have_a_score(method, world):
    scores = [(text, float(label == "positive")) for text, label in rows()]
    system = merged(world, method, "score", scores)
    texts, labels = zip(*rows(200, seed=1), strict=True)
    found = [answer["score"] for answer in system(texts)]
    assert np.corrcoef(found, [label == "positive" for label in labels])[0, 1] > 0.3


def test_options_choose_the_parts(world, tmp_path):
    merged(world, "stitch", direction="small_to_large", out=tmp_path / "up")
    merged(world, "stitch", direction="large_to_small", out=tmp_path / "down")
    layers = {
        name: json.loads((tmp_path / name / "parts" / "first" / "config.json").read_text())["num_hidden_layers"]
        for name in ("up", "down")
    }
    assert layers == {"up": 2, "down": 4}
    merged(world, "concat_probe", small="pretrained", out=tmp_path / "untuned")
    part, source = tmp_path / "untuned/parts/small/model.safetensors", world / "small/model.safetensors"
    assert torch.equal(*(load_file(file)["embeddings.word_embeddings.weight"] for file in (part, source)))


def test_a_part_is_the_fine_tuned_model_whole(world, tmp_path):
    merged(world, "logit_ensemble", out=tmp_path / "out")
    part, source = load_classifier(tmp_path / "out/parts/small"), load_classifier(world / "classes")
    torch.testing.assert_close(part.state_dict(), source.state_dict())


def test_flops_count_both_models_passes(world, tmp_path):
    merged(world, "concat_probe", out=tmp_path / "out")
    flops = json.loads((tmp_path / "out" / "graft.json").read_text())["flops"]
    texts, shape = len(rows()), Shape.of(world / "large")
    assert texts * encoder_flops(shape, 7) <= flops["states"] <= texts * encoder_flops(shape, 8)


@pytest.mark.parametrize("method", TRAINED)
def test_what_has_to_be_trained_takes_a_study(method, world):
    with pytest.raises(ValueError, match=f"{method} trains its own weights; use it in a study"):
        merged(world, method)


def test_what_does_not_fit_is_refused(world, tmp_path):
    given = [world / name for name in ("large", "classes", "small")]
    for options, said in (
        ({}, "fits a head to labels; give --labelled"),
        ({"labelled": rows(), "strength": 2.0}, "--strength: stitch chooses"),
        ({"labelled": rows(), "head": "labelled"}, "makes its own head"),
        ({"labelled": rows(5)}, "at least 10 texts"),
    ):
        with pytest.raises(ValueError, match=said):
            graft.merge(*given, method="stitch", texts=["a good film"] * 20, out=tmp_path / "out", **options)
    with pytest.raises(ValueError, match="more than 1 takes further fine-tunings"):
        merged(world, "concat_probe", folds=2, out=tmp_path / "out")
    assert not Path(tmp_path / "out").exists()
