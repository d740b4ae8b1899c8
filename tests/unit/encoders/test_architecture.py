import pytest

from graft.encoders.architecture import body_shapes, check_body


def test_the_table_lists_exactly_the_tensors_of_a_bert_encoder(pico_encoder, shape_of):
    model = pico_encoder()
    assert body_shapes(shape_of(model)) == {name: tuple(t.shape) for name, t in model.state_dict().items()}


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
