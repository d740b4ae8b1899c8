import pytest
import torch

from graft.encoders.states import pool
from graft.flops.counts import classifier_flops, encoder_flops
from graft.merging import predictors
from graft.merging.classifier_heads.ridge import LinearMap


@pytest.fixture
def classifier(pico_classifier, shape_of):
    model = pico_classifier()
    return predictors.classifier(model, shape_of(model)), model


def test_a_classifier_has_its_parameters_bytes_and_flops(classifier, pico_batches, shape_of):
    found, model = classifier
    (batch,) = pico_batches(examples=4)
    assert found.logits(batch).equal(model(**batch).logits) and not found.logits(batch).requires_grad
    assert found.parameters == sum(p.numel() for p in model.parameters()) and found.bytes == 4 * found.parameters
    assert found.flops(10) == classifier_flops(shape_of(model), 10, 2)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_probe_reads_its_encoders_in_their_order_without_their_poolers(pico_encoder, pico_batches, shape_of, pooling):
    one, other = pico_encoder(seed=1, width=8), pico_encoder(seed=2, width=4)
    shapes, parameters = [shape_of(one), shape_of(other)], sum(
        p.numel() for model in (one, other) for name, p in model.named_parameters() if not name.startswith("pooler")
    )  # fmt: skip
    head = LinearMap(torch.randn(3, 12, dtype=torch.float64), torch.randn(3, dtype=torch.float64))
    (batch,) = pico_batches(examples=4)
    states = [pool(model(**batch).last_hidden_state, batch["attention_mask"], pooling) for model in (one, other)]
    probe = predictors.probe({"small": one, "large": other}, pooling, head)
    torch.testing.assert_close(probe.logits(batch), head(torch.cat(states, dim=1)))
    assert probe.parameters == parameters + 3 * 12 + 3 and probe.bytes == 8 * probe.parameters
    assert probe.flops(10) > encoder_flops(shapes[0], 10) + encoder_flops(shapes[1], 10)


def test_a_mix_costs_and_weighs_what_its_parts_do(classifier, pico_batches):
    found, _ = classifier
    (batch,) = pico_batches(examples=4)
    constant = predictors.constant([1.0, -1.0])
    mix = predictors.mixed([found, constant], lambda one, other: 2 * one - other, ("large", "large"))
    expected = 2 * found.logits(batch) - torch.tensor([[1.0, -1.0]])
    torch.testing.assert_close(mix.to("cpu").logits(batch), expected)
    assert (mix.parameters, mix.bytes, mix.flops(7)) == (found.parameters, found.bytes, found.flops(7))


def test_a_constant_says_the_same_of_every_text(pico_batches):
    (batch,) = pico_batches(examples=3)
    constant = predictors.constant([0.25, 0.75])
    assert constant.logits(batch).tolist() == [[0.25, 0.75]] * 3
    assert (constant.parameters, constant.bytes, constant.flops(128)) == (0, 0, 0)
