"""The part of recorded passes that needs no GPU; for the rest see tests/gpu."""

import torch

from graft.training.graphs import padded


def test_batches_are_padded_to_multiples_of_eight_tokens_or_to_the_most():
    batch = {"input_ids": torch.ones(2, 9, dtype=torch.int64), "attention_mask": torch.ones(2, 9, dtype=torch.int64)}
    long = padded(batch, 128)
    assert list(long) == list(batch)
    for tensor in long.values():
        assert tensor.dtype == torch.int64 and tensor.sum() == 18 and tensor[:, :9].all() and tensor.shape == (2, 16)
    assert padded(batch, 12)["input_ids"].shape == (2, 12)
    assert padded(long, 128)["input_ids"].shape == (2, 16)
