import pytest
import torch

from graft.encoders.models import new_classifier
from graft.training.optimizer import AdamW, linear_schedule, parameter_groups
from tests.unit.study.test_imports import COMPILER, loaded_after


def trained(kind, steps, resumed_at=None):
    """A little network after steps of an optimizer, which may be made anew on the way, from its state."""
    random = torch.Generator().manual_seed(0)
    weights = [torch.randn(shape, generator=random, requires_grad=True) for shape in ((8, 4), (4,), (4, 2))]
    inputs = torch.randn(steps, 16, 8, generator=random)

    def optimizer():
        return kind(parameter_groups(weights, 0.1), lr=1e-2, betas=(0.8, 0.99), eps=1e-6, fused=True)

    own = optimizer()
    for step in range(steps):
        if step == resumed_at:
            state, own = own.state_dict(), optimizer()
            own.load_state_dict(state)
        own.zero_grad()
        first, bias, second = weights
        (torch.tanh(inputs[step] @ first + bias) @ second).square().mean().backward()
        own.step()
    return torch.cat([weight.detach().flatten() for weight in weights])


@pytest.mark.parametrize("resumed_at", [None, 3])
def test_adamw_steps_as_that_of_torch_does(resumed_at):
    assert torch.equal(trained(AdamW, 6, resumed_at), trained(torch.optim.AdamW, 6))
    assert not torch.equal(trained(AdamW, 6), trained(AdamW, 5))


def test_neither_training_with_labels_nor_without_imports_the_compiler(prepared_folder, tmp_path):
    code = (
        "import itertools\nfrom pathlib import Path\nimport torch\nfrom graft.config.launch import Launch\n"
        "from graft.config.models import PretrainingOptions\nfrom graft.training import unlabelled\n"
        "from tests.unit.training import one_training\n"
        f"one_training.train(Path({str(prepared_folder)!r}), Path({str(tmp_path)!r}), Launch(device='cpu'))\n"
        "batch = {name: torch.ones(2, 3, dtype=torch.int64) for name in ('input_ids', 'attention_mask')}\n"
        "weight = torch.nn.Parameter(torch.ones(3))\n"
        "unlabelled.train([weight], itertools.repeat(batch), lambda batch: {'loss': weight.sum()}, lambda batch: 1,\n"
        "    PretrainingOptions(steps=2), 'a test', unlabelled.Running())\n"
    )
    assert loaded_after(code) & COMPILER == set()


def test_norms_and_biases_are_not_decayed(pico_models):
    model = new_classifier(pico_models / "large", ("a", "b"), 0)
    decayed, rest = parameter_groups(model.parameters(), 0.01)
    assert decayed["weight_decay"] == 0.01 and rest["weight_decay"] == 0.0
    names = {id(p): n for n, p in model.named_parameters()}
    assert all("LayerNorm" in names[id(p)] or names[id(p)].endswith("bias") for p in rest["params"])
    assert not any("LayerNorm" in names[id(p)] or names[id(p)].endswith("bias") for p in decayed["params"])


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing():
    rates = [linear_schedule(step, 4, 12) for step in range(14)]
    assert rates[:5] == [0.0, 0.25, 0.5, 0.75, 1.0] and rates[8] == 0.5 and rates[12:] == [0.0, 0.0]
    assert sorted(rates[4:], reverse=True) == rates[4:]


def test_without_a_warm_up_it_starts_at_its_peak_and_one_step_is_a_whole_training():
    assert linear_schedule(0, 0, 5) == linear_schedule(0, 0, 1) == 1.0
    assert linear_schedule(1, 1, 1) == 0.0
