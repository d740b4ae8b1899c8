"""A classifier finds the same of batches without padding as of padded ones, and learns the same."""

import numpy as np
import pytest
import torch

from graft.encoders.models import config_of
from graft.encoders.network import Classifier
from graft.encoders.packing import Layout, packed
from graft.flops.counts import packed_flops, training_flops
from graft.registry.shapes import Shape
from tests.unit.counting import counting_flops
from tests.unit.families import FAMILIES, pico_shape

LENGTHS = (3, 9, 1, 6)
SHAPE = Shape(layers=2, width=12, heads=3, ffn=20, vocabulary=50)


@pytest.fixture(params=FAMILIES)
def model(request):
    torch.manual_seed(0)
    shape = pico_shape(request.param, SHAPE.layers, SHAPE.width, SHAPE.heads, SHAPE.ffn, SHAPE.vocabulary)
    return Classifier(config_of(shape)).double().eval()


@pytest.fixture
def batch():
    mask = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).long()
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, 50, mask.shape, generator=generator)
    types = torch.randint(2, mask.shape, generator=generator)
    return {"input_ids": ids * mask, "attention_mask": mask, "token_type_ids": types * mask}


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def test_logits_and_gradients_are_those_of_a_padded_batch(model, batch):
    labels = torch.tensor([0, 1, 1, 0])
    one = model(**batch, labels=labels)
    inputs = packed(batch, SHAPE.heads)
    assert inputs["input_ids"].shape == (1, sum(LENGTHS))
    other = model(**inputs, labels=labels)
    assert torch.allclose(one.logits, other.logits, atol=1e-12)
    padded, unpadded = gradients(model, one.loss), gradients(model, other.loss)
    assert padded.keys() == unpadded.keys()
    for name in padded:
        assert torch.allclose(padded[name], unpadded[name], atol=1e-12), name


def test_flops_of_a_step_are_those_that_torch_counts(model, batch):
    inputs = packed(batch, SHAPE.heads)
    with counting_flops() as forward:
        loss = model(**inputs, labels=torch.tensor([0, 1, 1, 0])).loss
    with counting_flops() as backward:
        loss.backward()
    counted = packed_flops(model.shape, np.array(LENGTHS), 2)
    assert counted == pytest.approx(forward.get_total_flops(), rel=1e-3)
    both = forward.get_total_flops() + backward.get_total_flops()
    assert training_flops(counted) == pytest.approx(both, rel=1e-3)


def test_a_text_does_not_see_another(model, batch):
    inputs = packed(batch, SHAPE.heads)
    before = model(**inputs).logits
    inputs["input_ids"][0, -1] = 7  # of the last text
    after = model(**inputs).logits
    assert before[:-1].equal(after[:-1]) and not before[-1].equal(after[-1])


def test_where_tokens_stand():
    """Two heads; texts of one and two tokens."""
    layout = Layout.of(torch.tensor([[1, 0], [1, 1]]), 2)
    assert layout.shape == (2, 2, 2) and layout.firsts.tolist() == [0, 1]
    # Rows of [2, 2, 2], where each head of a text has its tokens, for (token, head) in order.
    assert layout.places.tolist() == [0, 2, 4, 6, 5, 7]
    assert layout.sources.tolist() == [0, 0, 1, 0, 2, 4, 3, 5]
