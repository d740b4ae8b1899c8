import pytest
import torch

from graft.config.systems import LoraSystem
from graft.flops.counts import lora_flops
from graft.training.adapters import with_adapters, without_adapters
from tests.unit.counting import counting_flops

SETTINGS = LoraSystem(rank=2, alpha=3)


def perturbed(model):
    """A model whose adapters change something."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=generator)
    return model


@pytest.mark.parametrize("labels", [("no", "yes"), ("a", "b", "c"), None])
def test_adapters_change_nothing_at_first_and_then_join_the_weights(pico_classifier, pico_batches, labels):
    plain, (batch, *_) = pico_classifier(labels=labels), pico_batches()
    before = plain(**batch).logits
    model = with_adapters(plain, SETTINGS).eval()
    assert model(**batch).logits.equal(before)
    changed = perturbed(model)(**batch).logits
    assert not torch.allclose(changed, before, atol=1e-3)
    merged = without_adapters(model)
    assert {name for name, _ in merged.named_parameters()} == {n for n, _ in pico_classifier().named_parameters()}
    assert torch.allclose(merged(**batch).logits, changed, atol=1e-5)


def test_adapters_pooler_and_classifier_train_and_nothing_else_does(pico_classifier):
    model = with_adapters(pico_classifier(), SETTINGS)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained and all(any(part in n for part in ("lora_", "pooler", "classifier")) for n in trained)
    assert sum("lora_A" in name for name in trained) == 2 * model.config.num_hidden_layers


@pytest.mark.parametrize(
    "targets", [("query", "value"), ("value",), ("key",), ("query", "key", "value")], ids=lambda names: "-".join(names)
)
@pytest.mark.parametrize("layers", [1, 3])
def test_flops_of_a_step_are_those_that_torch_counts(pico_classifier, pico_batches, shape_of, targets, layers):
    model = pico_classifier(layers=layers, labels=("a", "b", "c"))
    shape, (batch, *_) = shape_of(model), pico_batches(size=4)
    model = with_adapters(model, LoraSystem(rank=2, targets=targets)).train()
    rows, tokens = batch["input_ids"].shape
    with counting_flops() as forward:
        loss = model(**batch, labels=torch.zeros(rows, dtype=torch.int64)).loss
    with counting_flops() as backward:
        loss.backward()
    expected = lora_flops(shape, tokens, 3, 2, targets)
    assert forward.get_total_flops() == rows * expected[0]
    assert forward.get_total_flops() + backward.get_total_flops() == rows * expected[1]
