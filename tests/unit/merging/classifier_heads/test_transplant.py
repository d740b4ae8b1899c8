import pytest
import torch

from graft.merging.classifier_heads import ridge
from graft.merging.classifier_heads.fitting import fit_heads
from graft.merging.classifier_heads.head import head_logits
from tests.unit.merging.classifier_heads.making import HIDDEN, POOLER, head_of, random


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_transplant_is_exact_where_the_small_state_is_a_linear_function_of_the_large_one(outputs):
    small_head = head_of(4, outputs)
    small_hidden = HIDDEN @ random(6, 4, seed=12) + 0.5
    heads = fit_heads("transplant", HIDDEN, POOLER, [1e-12], small_head=small_head, small_hidden=small_hidden)
    head = heads[1e-12]
    assert head.pooler_weight.shape == (6, 6) and head.classifier_weight.shape == (outputs, 6)
    expected = head_logits(small_head, small_hidden)
    torch.testing.assert_close(head_logits(head, HIDDEN), expected, rtol=1e-8, atol=1e-8)


def test_transplant_computes_the_small_head_of_the_mapped_state_at_any_ridge():
    small_head, small_hidden = head_of(4, 2), random(80, 4, seed=13)
    mapped = ridge.fit(HIDDEN, small_hidden, [0.5])[0.5](HIDDEN)
    head = fit_heads("transplant", HIDDEN, POOLER, [0.5], small_head=small_head, small_hidden=small_hidden)[0.5]
    torch.testing.assert_close(head_logits(head, HIDDEN), head_logits(small_head, mapped))


def test_transplant_refuses_a_wider_small_model():
    with pytest.raises(ValueError, match="8 wide does not fit into a model 6 wide"):
        fit_heads("transplant", HIDDEN, POOLER, [0.1], small_head=head_of(8, 2), small_hidden=random(80, 8))
