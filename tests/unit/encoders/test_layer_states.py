import numpy as np
import pytest
import torch

from graft.config.tasks import Task
from graft.encoders.layer_states import LayerStates, WithStates, collect
from graft.encoders.models import load_encoder
from graft.tasks.prepare import prepare_task
from graft.tasks.tokens import TokenisedSplit, tokenize_task

LONGEST = 7


@pytest.fixture(scope="module")
def tokens(pico_glue, pico_models, tmp_path_factory):
    root = tmp_path_factory.mktemp("task")
    spec = Task.model_validate({"source": {"kind": "tsv", "folder": str(pico_glue / "SST-2")}})
    prepare_task("sst2", spec, root / "sst2", "x")
    tokenize_task(root / "sst2", pico_models / "large", root / "tokens", "x")
    return TokenisedSplit.load(root / "tokens", "select")


def test_states_are_those_of_the_model_and_zeros_behind_the_texts(tokens, pico_models):
    model, rows = load_encoder(pico_models / "large"), np.array([5, 0, 11])
    kept = collect(model, [1, 3], tokens, LONGEST)
    batch = tokens.batch(rows, LONGEST)
    found = kept.batch(rows, batch["input_ids"].shape[1])
    with torch.no_grad():
        seen = model(**batch, output_hidden_states=True).hidden_states
    wanted = torch.stack([seen[2], seen[4]], dim=2) * batch["attention_mask"][:, :, None, None]
    assert found.shape == wanted.shape and torch.allclose(found, wanted, atol=5e-3, rtol=1e-3)
    assert not found[batch["attention_mask"] == 0].any()


def test_states_on_disk_are_those_in_memory(tokens, pico_models, tmp_path):
    model, told = load_encoder(pico_models / "large"), []
    written = collect(model, [0, 3], tokens, LONGEST, tmp_path / "select.npy", told.append)
    loaded, rows = LayerStates.load(tmp_path, "select"), np.arange(len(tokens))
    assert sum(told) == len(tokens)
    for states in (written, loaded):
        assert states.batch(rows, LONGEST).equal(collect(model, [0, 3], tokens, LONGEST).batch(rows, LONGEST))


def test_states_stand_beside_the_tokens_of_a_batch(tokens):
    given = WithStates(tokens, {"large": lambda rows, length: torch.full((len(rows), length), 2.0)})
    rows = np.array([1, 4])
    batch = given.batch(rows, LONGEST)
    assert len(given) == len(tokens) and (given.lengths(LONGEST) == tokens.lengths(LONGEST)).all()
    assert batch["large"].shape == batch["input_ids"].shape
    assert batch["input_ids"].equal(tokens.batch(rows, LONGEST)["input_ids"])
