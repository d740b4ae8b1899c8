import math

import pytest
import torch

from graft.encoders.architecture import body_shapes, check_body, is_finite, stacked


def test_the_table_lists_exactly_the_tensors_of_a_bert_encoder(pico_encoder, shape_of):
    model = pico_encoder()
    assert body_shapes(shape_of(model)) == {name: tuple(t.shape) for name, t in model.state_dict().items()}


def test_layers_are_repeated_or_followed_by_means_with_the_next_and_the_last_by_itself(pico_encoder):
    body = pico_encoder(layers=2).state_dict()
    name = "encoder.layer.{}.output.dense.bias"
    low, high = body[name.format(0)], body[name.format(1)]
    for midpoints, between in ((False, low), (True, (low + high) / 2)):
        expected, grown = [low, between, between, high, high], stacked(body, (0, 0, 0, 1, 1), midpoints)
        assert all(torch.equal(grown[name.format(n)], tensor) for n, tensor in enumerate(expected))
        assert len(grown) == len(body) + 3 * 16 and torch.equal(grown["pooler.dense.bias"], body["pooler.dense.bias"])


@pytest.mark.parametrize("midpoints", [False, True])
def test_where_norms_come_before_the_last_stays_last_and_the_embeddings_one_serves_copies_of_the_first_layer(
    pico_encoder, midpoints
):
    model, layers = pico_encoder(layers=2, family="modernbert"), (0, 0, 1, 1)
    body = model.state_dict()
    grown, shape = stacked(body, layers, midpoints, prenorm=True), model.shape.stacked(layers)
    check_body(grown, shape, "grown")
    assert [shape.is_local(layer) for layer in range(4)] == [model.shape.is_local(layer) for layer in layers]
    first, second = body["embeddings.LayerNorm.weight"], body["encoder.layer.1.attention.LayerNorm.weight"]
    found = grown["encoder.layer.1.attention.LayerNorm.weight"]
    assert found.equal((first + second) / 2 if midpoints else first)
    last = grown["encoder.layer.3.output.LayerNorm.weight"]
    assert last.equal(body["encoder.layer.1.output.LayerNorm.weight"])


@pytest.mark.parametrize("change", ["missing", "shape", "unknown"])
def test_a_tensor_that_does_not_fit_is_named(pico_encoder, shape_of, change):
    model = pico_encoder()
    body = dict(model.state_dict())
    name = "encoder.layer.1.output.dense.bias"
    if change == "missing":
        del body[name]
    elif change == "shape":
        body[name] = body[name][:-1]
    else:
        name = "encoder.layer.7.extra"
        body[name] = body["pooler.dense.bias"]
    with pytest.raises(ValueError, match=f"the model: tensor {name}"):
        check_body(body, shape_of(model), "the model")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("size", [1, 7, 100_003])
def test_one_value_that_is_not_finite_is_seen(value, size):
    tensor = torch.linspace(-1e38, 1e38, size)
    assert is_finite(tensor)
    tensor[size // 2] = value
    assert not is_finite(tensor)
