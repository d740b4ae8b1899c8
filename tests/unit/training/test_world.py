"""One process alone, and what each of several checks before it trains; several together: test_worlds.py."""

import pytest
import torch
from torch import nn

from graft.config.launch import Launch
from graft.encoders.models import load_encoder, new_classifier
from graft.training.world import World, _check_environment, deepspeed_config

CPU = Launch(device="cpu", precision="fp32")
TWO = CPU.model_copy(update={"gpus": 2})
VARIABLES = ("WORLD_SIZE", "LOCAL_RANK", "ACCELERATE_USE_CPU", "DS_ACCELERATOR")


@pytest.fixture
def environment(monkeypatch):
    """Sets the variables of a launch, and none that stood there."""

    def give(**variables):
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return give


OF_TWO = {"WORLD_SIZE": "2", "LOCAL_RANK": "0"}


@pytest.mark.parametrize(
    ("launch", "variables", "told"),
    [
        (TWO, {}, r"needs 2 processes \(1 x 2, ddp\), but only one was started"),
        (CPU, OF_TWO, "needs 1 processes .* but 2 were started"),
        (TWO, {"WORLD_SIZE": "2"}, "this one was not started by a launcher"),
        (TWO.model_copy(update={"strategy": "zero2"}), OF_TWO, "on a CPU DeepSpeed needs DS_ACCELERATOR=cpu"),
        (
            TWO.model_copy(update={"strategy": "zero2"}),
            OF_TWO | {"DS_ACCELERATOR": "cpu", "ACCELERATE_USE_CPU": "yes"},
            "accelerate silently skips DeepSpeed",
        ),
    ],
)
def test_processes_that_are_not_those_asked_for_are_told_before_anything_runs(environment, launch, variables, told):
    environment(**variables)
    with pytest.raises(ValueError, match=told):
        _check_environment(launch)


@pytest.mark.parametrize(
    ("launch", "variables"),
    [
        (CPU, {}),
        (TWO, OF_TWO | {"ACCELERATE_USE_CPU": "true"}),
        (TWO.model_copy(update={"strategy": "zero3"}), OF_TWO | {"DS_ACCELERATOR": "cpu"}),
        (TWO.model_copy(update={"nodes": 2}), OF_TWO | {"WORLD_SIZE": "4"}),
    ],
)
def test_those_that_are_go_on(environment, launch, variables):
    environment(**variables)
    _check_environment(launch)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_deepspeed_is_told_the_stage_and_that_graft_counts_the_passes(precision):
    found = deepspeed_config(TWO.model_copy(update={"strategy": "zero2"}), precision, clip=0.5)
    assert found["zero_optimization"]["stage"] == 2 and found["gradient_clipping"] == 0.5
    assert found["train_micro_batch_size_per_gpu"] == found["gradient_accumulation_steps"] == 1
    assert found["torch_autocast"]["enabled"] == (precision == "bf16")


@pytest.fixture
def world(environment, tmp_path):
    environment()
    return World(CPU, clip=1.0, log_folder=tmp_path)


def test_one_process_is_the_whole_world(world):
    assert (world.main, world.size, world.device.type) == (True, 1, "cpu")
    assert world.gather("x") == ["x"] and world.of_main("x") == "x"
    assert world.sum(torch.tensor([1.0, 2.0])).tolist() == [1.0, 2.0]


def test_settings_in_effect_are_those_of_this_machine(world, pico_models):
    world.prepare(new_classifier(pico_models / "small", ("a", "b"), 0), None)
    assert world.effective() == {
        "precision": "fp32",
        "processes": 1,
        "strategy": "one process",
        "tf32": False,
        "attention": "eager",
        "cuda_graphs": False,
        "packed": True,
        "pass_tokens": None,
    }


def test_only_classifiers_run_without_padding(world, pico_models):
    world.prepare(load_encoder(pico_models / "small"), None)
    assert not world.packs and world.whole() is world.model
    batch = {"input_ids": torch.ones(1, 2)}
    assert world.inputs(batch) is batch


def test_a_step_clips_the_gradient_moves_the_weights_and_forgets_it(world):
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    world.prepare(model, torch.optim.SGD(model.parameters(), lr=1.0))
    with world.exchanging(last=True):
        world.backward(-10 * model(torch.ones(1, 1)).sum(), last=True)
    assert model.weight.grad.item() == -10
    world.step()
    assert model.weight.item() == pytest.approx(1.0, abs=1e-5) and model.weight.grad is None


def test_a_state_is_that_of_weights_and_optimizer(world, tmp_path):
    model = nn.Linear(1, 1)
    world.prepare(model, torch.optim.AdamW(model.parameters(), lr=0.1))

    def train():
        world.backward(model(torch.ones(1, 1)).square().sum(), last=True)
        world.step()
        return model.weight.item()

    train()
    world.save_state(tmp_path)
    later = train()
    train()
    world.load_state(tmp_path)
    assert train() == later


def test_kernels_of_training_leave_no_trace(world):
    before = torch.get_float32_matmul_precision()
    with world.training_kernels():
        pass
    assert torch.get_float32_matmul_precision() == before
