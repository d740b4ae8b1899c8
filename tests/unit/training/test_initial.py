"""Untrained models on pico shapes: what is drawn and what is taken over from the model that they are like."""

import json

import pytest
import torch

from graft.encoders.models import load_encoder
from graft.io.files import read_json, sha256
from graft.registry.shapes import Shape
from graft.training.initial import initialise_model
from tests.conftest import write_bert


@pytest.fixture
def like(tmp_path):
    """A model with another initialisation and another dropout."""
    folder = write_bert(tmp_path / "like", layers=2, width=12, heads=2, seed=0)
    config = read_json(folder / "config.json")
    (folder / "config.json").write_text(json.dumps({**config, "hidden_dropout_prob": 0.3}))
    return folder


def test_equal_seeds_give_equal_bytes_whatever_was_drawn_before_and_other_seeds_do_not(like, tmp_path):
    hashes = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.rand(3)
        hashes.append(sha256(initialise_model(like, tmp_path / name, seed) / "model.safetensors"))
    first, again, other = hashes
    assert first == again != other
    assert first != sha256(like / "model.safetensors")


def test_shape_config_and_tokenizer_are_those_of_the_other_model(like, tmp_path):
    out = initialise_model(like, tmp_path / "out", 0)
    assert Shape.of(out) == Shape.of(like)
    assert read_json(out / "config.json")["hidden_dropout_prob"] == 0.3
    for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        if (like / file).is_file():
            assert sha256(out / file) == sha256(like / file)


def test_weights_are_drawn_as_berts_are(like, tmp_path):
    encoder = load_encoder(initialise_model(like, tmp_path / "out", 0))
    deviation = read_json(like / "config.json")["initializer_range"]
    matrices = torch.cat([p.flatten() for p in encoder.parameters() if p.ndim > 1])
    assert matrices.std().item() == pytest.approx(deviation, rel=0.05)
    assert abs(matrices.mean().item()) < 0.05 * deviation
    for name, parameter in encoder.named_parameters():
        if parameter.ndim == 1:
            assert (parameter == (1 if name.endswith("LayerNorm.weight") else 0)).all(), name
    assert not encoder.embeddings.word_embeddings.weight[0].any()
    assert encoder.pooler.dense.weight.any()
