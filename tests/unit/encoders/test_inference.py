import numpy as np

from graft.encoders.batches import INFERENCE_BATCH, padded_lengths
from graft.encoders.inference import batches, pass_flops, run
from tests.unit.vocabularies import in_pieces, texts


def test_rows_come_back_in_their_order_whatever_the_batches(tokens):
    def last_word(batch):
        ends = batch["attention_mask"].sum(1) - 2
        return batch["input_ids"].gather(1, ends[:, None])

    expected = [int(tokens.columns[1].ids[end - 1]) for end in tokens.columns[1].offsets[1:]]
    assert run(last_word, tokens, 32)[:, 0].tolist() == expected
    rows = np.array([7, 3, 50])
    assert run(last_word, tokens, 32, rows)[:, 0].tolist() == [expected[i] for i in rows]


def test_flops_of_a_pass_are_those_of_the_padded_lengths(tokens):
    lengths = tokens.lengths(32)
    padded = padded_lengths(lengths)
    assert (padded >= lengths).all() and len(set(padded)) <= -(-len(lengths) // INFERENCE_BATCH)
    assert pass_flops(lambda t: t * t, tokens, 32) == int((padded.astype(np.int64) ** 2).sum())


def test_flops_of_a_small_model_that_reads_other_tokens_are_those_of_its_own_tokens():
    split, rows = in_pieces(texts(rows=100)).split, np.arange(3, 90)
    sizes = {"large": 0, "small": 0}
    for _, batch in batches(split, 12, rows):
        sizes["large"] += batch["input_ids"].numel()
        sizes["small"] += batch["small.input_ids"].numel()
    assert sizes["small"] > sizes["large"]
    assert {role: pass_flops(lambda tokens: tokens, split, 12, rows, role) for role in sizes} == sizes
