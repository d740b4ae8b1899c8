import pytest
import torch

from graft.merging.classifier_heads.fitting import fit_heads
from graft.merging.classifier_heads.head import Head, head_logits
from tests.unit.merging.classifier_heads.making import HIDDEN, POOLER, head_of


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_label_free_recovers_logits_that_are_linear_in_the_bodys_pooled_output(outputs):
    small_head = head_of(6, outputs)
    own = Head(*POOLER, small_head.classifier_weight, small_head.classifier_bias)
    head = fit_heads("label-free", HIDDEN, POOLER, [1e-12], small_head=own, small_hidden=HIDDEN)[1e-12]
    torch.testing.assert_close(head_logits(head, HIDDEN), head_logits(own, HIDDEN), rtol=1e-6, atol=1e-6)
    assert torch.equal(head.pooler_weight, POOLER[0]) and torch.equal(head.pooler_bias, POOLER[1])
