import pytest
import torch

from graft.encoders.states import Frozen, layer_states, pool
from graft.flops.counts import encoder_flops
from tests.unit.conftest import LARGE
from tests.unit.counting import counting_flops


@pytest.mark.parametrize("layers", [[0, 2], [3, 1], [4]])
def test_states_are_the_outputs_of_the_layers_asked_for_and_no_more_runs(layers, encoder_shaped, pico_batches):
    model, batch = encoder_shaped(LARGE), pico_batches()[0]
    with counting_flops() as counted:
        found = layer_states(model, layers, batch)
    assert counted.get_total_flops() == 4 * encoder_flops(LARGE, 10, max(layers) + 1)
    with torch.no_grad():
        seen = model(**batch, output_hidden_states=True).hidden_states
    real = batch["attention_mask"].bool()
    for n, layer in enumerate(layers):
        torch.testing.assert_close(found[:, :, n][real], seen[layer + 1][real], rtol=0, atol=1e-12)
    assert not found.requires_grad and not found.is_inference()


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_frozen_encoder_gives_the_same_and_has_only_what_runs(pooling, encoder_shaped, pico_batches):
    batch = pico_batches()[0]
    expected = layer_states(encoder_shaped(LARGE), [0, 3], batch)
    frozen = Frozen(encoder_shaped(LARGE), [0, 3])
    assert torch.equal(frozen(batch), expected)
    kept = [p for n, p in encoder_shaped(LARGE).named_parameters() if "layer.4." not in n and "pooler" not in n]
    assert sum(p.numel() for p in frozen.parameters()) == sum(p.numel() for p in kept)
    assert not any(p.requires_grad for p in frozen.parameters())
    pooled = Frozen(encoder_shaped(LARGE), [3], pooling)(batch)
    assert torch.equal(pooled, pool(expected[:, :, 1], batch["attention_mask"], pooling))


HIDDEN = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]]])
MASK = torch.tensor([[1, 1, 0]])


def test_the_first_token_and_the_mean_without_padding():
    assert pool(HIDDEN, MASK, "cls").tolist() == [[1.0, 2.0]]
    assert pool(HIDDEN, MASK, "mean").tolist() == [[2.0, 4.0]]


def test_an_unknown_pooling_is_named():
    with pytest.raises(ValueError, match="unknown pooling 'max'"):
        pool(HIDDEN, MASK, "max")
