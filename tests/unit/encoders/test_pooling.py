import pytest
import torch

from graft.encoders.pooling import pool

HIDDEN = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]]])
MASK = torch.tensor([[1, 1, 0]])


def test_the_first_token_and_the_mean_without_padding():
    assert pool(HIDDEN, MASK, "cls").tolist() == [[1.0, 2.0]]
    assert pool(HIDDEN, MASK, "mean").tolist() == [[2.0, 4.0]]


def test_an_unknown_pooling_is_named():
    with pytest.raises(ValueError, match="unknown pooling 'max'"):
        pool(HIDDEN, MASK, "max")
