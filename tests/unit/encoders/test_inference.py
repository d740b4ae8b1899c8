import numpy as np
import pytest
import torch

from graft.config.study import Task
from graft.encoders.batches import INFERENCE_BATCH, padded_lengths
from graft.encoders.bert import load_encoder
from graft.encoders.features import embed, fit_rows
from graft.encoders.inference import pass_flops, run
from graft.tasks.prepare import prepare_task
from graft.tasks.tokens import TokenisedSplit, tokenize_task


@pytest.fixture(scope="module")
def tokens(pico_glue, pico_models, tmp_path_factory) -> TokenisedSplit:
    root = tmp_path_factory.mktemp("rte")
    spec = Task.model_validate({"source": {"kind": "tsv", "folder": str(pico_glue / "RTE")}})
    prepare_task("rte", spec, root / "data", "x")
    tokenize_task(root / "data", pico_models / "large", root / "tokens", "x")
    return TokenisedSplit.load(root / "tokens", "train")


def test_rows_come_back_in_their_order_whatever_the_batches(tokens):
    def last_word(batch):
        ends = batch["attention_mask"].sum(1) - 2
        return batch["input_ids"].gather(1, ends[:, None])

    expected = [int(tokens.second.ids[end - 1]) for end in tokens.second.offsets[1:]]
    assert run(last_word, tokens, 32)[:, 0].tolist() == expected
    rows = np.array([7, 3, 50])
    assert run(last_word, tokens, 32, rows)[:, 0].tolist() == [expected[i] for i in rows]


def test_flops_of_a_pass_are_those_of_the_padded_lengths(tokens):
    lengths = tokens.lengths(32)
    padded = padded_lengths(lengths)
    assert (padded >= lengths).all() and len(set(padded)) <= -(-len(lengths) // INFERENCE_BATCH)
    assert pass_flops(lambda t: t * t, tokens, 32) == int((padded.astype(np.int64) ** 2).sum())


def test_states_equal_those_of_one_text_at_a_time(tokens, pico_models):
    model = load_encoder(pico_models / "large")
    states, flops = embed(model, {"train": tokens}, 32, lambda *_: None)
    assert flops > 0
    for row in (0, 11, 100):
        with torch.inference_mode():
            hidden = model(**tokens.batch(np.array([row]), 32)).last_hidden_state[0].numpy()
        assert states["train.cls"][row] == pytest.approx(hidden[0], abs=1e-5)
        assert states["train.mean"][row] == pytest.approx(hidden.mean(0), abs=1e-5)


def test_the_fit_rows_are_the_same_draw_every_time():
    first = fit_rows(1000, 50)
    assert first.tolist() == fit_rows(1000, 50).tolist() == sorted(set(first.tolist()))
    assert fit_rows(30, 50).tolist() == list(range(30))
