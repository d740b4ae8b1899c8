from pathlib import Path

import numpy as np
import pytest
import torch

from graft.encoders.features import embed, fit_rows, last_states, layers_pooled, load_states, pooled_states, save_states
from graft.encoders.models import load_encoder


def test_states_equal_those_of_one_text_at_a_time(tokens, pico_models):
    model = load_encoder(pico_models / "large")
    states, flops = embed(model, {"train": tokens}, 32, lambda *_: None)
    assert flops > 0
    for row in (0, 11, 100):
        with torch.inference_mode():
            hidden = model(**tokens.batch(np.array([row]), 32)).last_hidden_state[0].numpy()
        assert states["train.cls"][row] == pytest.approx(hidden[0], abs=1e-5)
        assert states["train.mean"][row] == pytest.approx(hidden.mean(0), abs=1e-5)


def test_states_of_every_layer_end_in_those_of_the_last(tokens, pico_models):
    model = load_encoder(pico_models / "large")
    last, _ = embed(model, {"train": tokens}, 32, lambda *_: None)
    seen = []
    for rows, states in layers_pooled(model, tokens, 32):
        seen += rows.tolist()
        assert {state.layer for state in states} == set(range(5)) and len(states) == 10
        for pooling in ("cls", "mean"):
            assert states[4, pooling].numpy() == pytest.approx(last[f"train.{pooling}"][rows], abs=1e-5)
    assert sorted(seen) == list(range(len(tokens)))


def test_the_fit_rows_are_the_same_draw_every_time():
    first = fit_rows(1000, 50)
    assert first.tolist() == fit_rows(1000, 50).tolist() == sorted(set(first.tolist()))
    assert fit_rows(30, 50).tolist() == list(range(30))


def test_pooled_states_of_rows_are_those_of_the_whole_split(tokens, pico_models):
    model, rows = load_encoder(pico_models / "large"), np.array([5, 2])
    states, _ = embed(model, {"train": tokens}, 32, lambda *_: None)
    for pooling in ("cls", "mean"):
        found = pooled_states(lambda batch: last_states(model, batch), pooling, tokens, 32, rows)
        assert found == pytest.approx(states[f"train.{pooling}"][rows], abs=1e-5)


def test_states_survive_their_file(tmp_path):
    states = {"train.cls": np.arange(6.0).reshape(2, 3), "select.mean": np.ones((3, 4), dtype=np.float32).T}
    save_states(states, tmp_path / "states.safetensors")
    found = load_states(tmp_path)
    assert found.keys() == states.keys() and all(np.array_equal(found[name], states[name]) for name in states)


def test_states_are_mapped_not_read(tmp_path):
    """Of a file with two large arrays, only the pages that are used enter memory."""
    save_states({name: np.zeros((1000, 64), dtype=np.float32) for name in "ab"}, tmp_path / "states.safetensors")
    found = load_states(tmp_path)
    assert str(tmp_path / "states.safetensors") in Path("/proc/self/maps").read_text()
    assert found["a"].shape == (1000, 64)
