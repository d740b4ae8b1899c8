import pytest
import torch

from graft.merging.classifier_heads.head import Head, head_logits
from graft.merging.heterogeneous.interpolate.maths import Interpolate, interpolated_head, padded_to


@pytest.fixture
def pair(pico_encoder):
    return pico_encoder(1, width=4, layers=2, ffn=8), pico_encoder(2, width=8, layers=4, ffn=16)


def _merge(parts, strength):
    method = Interpolate()
    return method.apply(method.prepare(parts), strength)


def test_strength_zero_gives_the_large_model_exactly(pair, make_parts):
    small, large = pair
    for name, tensor in _merge(make_parts(large, small, small), 0.0).items():
        assert torch.equal(tensor, large.state_dict()[name])


def test_strength_one_gives_the_small_model_where_the_shapes_agree(pico_encoder, make_parts):
    small, large = pico_encoder(1), pico_encoder(2)
    for name, tensor in _merge(make_parts(large, small, small), 1.0).items():
        assert torch.equal(tensor, small.state_dict()[name])


def test_tensors_are_paired_by_name_and_padded_and_others_stay(pair, make_parts):
    small, large = pair
    merged, a, b = _merge(make_parts(large, small, small), 0.25), small.state_dict(), large.state_dict()
    name = "encoder.layer.1.intermediate.dense.weight"
    torch.testing.assert_close(merged[name][:8, :4], 0.25 * a[name] + 0.75 * b[name][:8, :4])
    torch.testing.assert_close(merged[name][8:], 0.75 * b[name][8:])
    assert torch.equal(merged["encoder.layer.3.output.dense.weight"], b["encoder.layer.3.output.dense.weight"])
    assert not torch.equal(merged["pooler.dense.weight"], b["pooler.dense.weight"])


@pytest.mark.parametrize("family", ["mpnet", "roberta", "distilbert"])
def test_embeddings_of_what_only_one_model_embeds_stay(pico_encoder, make_parts, family):
    small, large = pico_encoder(1), pico_encoder(2, family=family)
    merged, a, b = _merge(make_parts(large, small, small), 1.0), small.state_dict(), large.state_dict()
    assert merged.keys() == b.keys()
    types = "embeddings.token_type_embeddings.weight"
    assert types in a and (types not in b or torch.equal(merged[types], b[types]))
    assert torch.equal(merged["encoder.layer.1.output.dense.weight"], a["encoder.layer.1.output.dense.weight"])


def test_a_larger_small_tensor_is_named():
    with pytest.raises(ValueError, match=r"pooler of shape \[3\] does not fit into \[2\]"):
        padded_to(torch.zeros(3), (2,), "pooler")


def test_a_deeper_small_model_is_named(pico_encoder, make_parts):
    with pytest.raises(ValueError, match="do not map|depth map|no partner"):
        Interpolate().prepare(make_parts(pico_encoder(layers=1), pico_encoder(), pico_encoder()))


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_the_head_is_the_bodys_pooler_and_the_scaled_small_classifier(pair, make_parts, outputs):
    small, large = pair
    body = _merge(make_parts(large, small, small), 1.0)
    own = small.state_dict()
    classifier = torch.randn(outputs, 4, dtype=torch.float64), torch.randn(outputs, dtype=torch.float64)
    small_head = Head(own["pooler.dense.weight"], own["pooler.dense.bias"], *classifier)
    head = interpolated_head(small_head, body, 1.0)
    states = torch.randn(5, 4, dtype=torch.float64)
    padded = torch.cat([states, torch.randn(5, 4, dtype=torch.float64)], dim=1)
    torch.testing.assert_close(head_logits(head, padded), head_logits(small_head, states))
    assert head_logits(interpolated_head(small_head, body, 0.0), padded).abs().max() == 0
