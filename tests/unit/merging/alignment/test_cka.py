import pytest
import torch

from graft.merging.alignment.cka import layer_similarity


def plain_cka(x, y):
    """By its definition over the kernel matrices of the tokens: HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L))."""
    centre = torch.eye(len(x), dtype=x.dtype) - 1 / len(x)
    kernels = [centre @ a @ a.T @ centre for a in (x, y)]
    across, own, other = ((a * b).sum() for a, b in (kernels, kernels[:1] * 2, kernels[1:] * 2))
    return across / (own * other).sqrt()


@torch.no_grad()
@pytest.mark.parametrize("size", [1, 5, 12])
def test_it_equals_the_definition_by_kernels_whatever_the_batch_size(size, pico_encoder, pico_batches):
    small, large = pico_encoder(1, width=4, layers=2, ffn=8), pico_encoder(2, width=8, layers=3)
    (batch,) = pico_batches(size=12)
    real = batch["attention_mask"].bool()
    states = [[h[real] for h in m(**batch, output_hidden_states=True).hidden_states] for m in (small, large)]
    expected = torch.stack([torch.stack([plain_cka(x, y) for y in states[1]]) for x in states[0]])
    torch.testing.assert_close(layer_similarity(small, large, pico_batches(size=size)), expected, rtol=1e-9, atol=1e-9)


def test_a_model_is_wholly_like_itself(pico_encoder, pico_batches):
    model = pico_encoder()
    torch.testing.assert_close(layer_similarity(model, model, pico_batches()).diagonal(), torch.ones(3).double())


def test_no_text_is_refused(pico_encoder):
    with pytest.raises(ValueError, match="no batches"):
        layer_similarity(pico_encoder(), pico_encoder(), [])
