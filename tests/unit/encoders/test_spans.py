"""States of spans, held against loops over texts and tokens."""

import numpy as np
import pytest
import torch

from graft.encoders.spans import carried, read_by, span_states
from graft.tasks.spans import NONE
from tests.unit.vocabularies import in_pieces, permuted, texts


@pytest.fixture(params=[9, 30])
def batch(request):
    """A batch of texts whose odd words the small model reads in two pieces, cut or whole."""
    return in_pieces(texts(rows=8, columns=2)).split.batch(np.arange(8), request.param)


def states_of(batch, role, width=3):
    size = read_by(role, batch)["input_ids"].shape
    return torch.randn(*size, width, generator=torch.Generator().manual_seed(len(role)), dtype=torch.float64)


def means(states, spans):
    """By text and span, the mean of its tokens' states."""
    return {
        (row, int(number)): states[row][spans[row] == number].mean(0)
        for row in range(len(spans))
        for number in spans[row].unique()
        if number != NONE
    }


@pytest.mark.parametrize("role", ["large", "small"])
def test_a_spans_state_is_the_mean_of_its_pieces(batch, role):
    states = states_of(batch, role)
    expected = means(states, batch["spans" if role == "large" else "small.spans"])
    found = span_states(role, states, batch)
    torch.testing.assert_close(found, torch.stack([expected[key] for key in sorted(expected)]))
    other = "small" if role == "large" else "large"
    assert len(span_states(other, states_of(batch, other), batch)) == len(found)


@pytest.mark.parametrize(("to", "of"), [("large", "small"), ("small", "large")])
def test_each_token_gets_the_mean_of_its_span_and_a_stray_one_that_of_the_span_before(batch, to, of):
    names = {"large": "spans", "small": "small.spans"}
    states = states_of(batch, of)
    known, found = means(states, batch[names[of]]), carried(to, states, batch)
    mask = read_by(to, batch)["attention_mask"]
    assert found.shape[:2] == mask.shape
    for row in range(len(mask)):
        last = 0
        for token in range(int(mask[row].sum())):
            number = int(batch[names[to]][row, token])
            last = number if number != NONE else last
            torch.testing.assert_close(found[row, token], known[row, last])


def test_spans_of_one_token_keep_their_states_bit_for_bit():
    pair = permuted(texts(rows=6)).split
    batch = pair.batch(np.arange(6), 30)
    states = states_of(batch, "small").float()
    real = batch["attention_mask"].bool()
    assert torch.equal(span_states("small", states, batch), states[real])
    assert torch.equal(carried("large", states, batch)[real], states[real])


def test_where_both_models_read_the_same_tokens_nothing_is_carried():
    batch = texts(rows=6).batch(np.arange(6), 30)
    states = states_of(batch, "large")
    assert carried("small", states, batch) is states
    assert torch.equal(span_states("small", states, batch), states[batch["attention_mask"].bool()])
    assert all(torch.equal(read_by("small", batch)[name], batch[name]) for name in batch)
