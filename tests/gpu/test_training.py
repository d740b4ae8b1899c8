"""Fine-tuning on a GPU: what a CPU comes to, in every strategy, resumable, deterministic."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from graft.config.launch import Launch
from graft.encoders.models import new_classifier
from graft.study import launcher
from graft.training.graphs import Replayed
from tests.unit.training.test_worlds import finish, outcome, wait_for_step

ROOT = Path(__file__).parents[2]
MODULE = "tests.unit.training.one_training"
EXACT = Launch(device="cuda", precision="fp32", tf32=False, attention="eager")


class OfOne(Launch):
    """Launched as many processes would be, though it is one."""

    @property
    def distributed(self) -> bool:
        return True


def start(folder, out, launch, dropout=0.0):
    program = [MODULE, str(folder), str(out), launch.model_dump_json(), str(dropout)]
    command = (
        launcher.command(launch, launcher.Node(), program) if launch.distributed else [sys.executable, "-m", *program]
    )
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
    env |= launcher.environment(launch, on_cpu=launch.device == "cpu")
    return subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def trained(folder, out, launch, dropout=0.0):
    finish(start(folder, out, launch, dropout))
    return outcome(out)


@pytest.fixture(scope="module")
def on_gpu(prepared_folder, tmp_path_factory):
    return trained(prepared_folder, tmp_path_factory.mktemp("gpu"), EXACT)


def test_a_gpu_comes_to_what_a_cpu_does(prepared_folder, on_gpu, tmp_path):
    losses, _, _ = trained(prepared_folder, tmp_path, EXACT.model_copy(update={"device": "cpu"}))
    assert on_gpu[0] == pytest.approx(losses, abs=1e-4) and on_gpu[2]["effective"]["tf32"] is False


def test_twice_the_same_weights(prepared_folder, on_gpu, tmp_path):
    _, weights, _ = trained(prepared_folder, tmp_path, EXACT)
    assert all(weights[name].equal(on_gpu[1][name]) for name in weights)


def test_recorded_passes_come_to_the_same_as_those_started_kernel_by_kernel(prepared_folder, on_gpu, tmp_path):
    losses, _, found = trained(prepared_folder, tmp_path, EXACT.model_copy(update={"cuda_graphs": False}))
    assert losses == pytest.approx(on_gpu[0], abs=1e-5)
    assert (on_gpu[2]["effective"]["cuda_graphs"], found["effective"]["cuda_graphs"]) == (True, False)


def test_dropout_of_recorded_passes_is_new_at_every_step(prepared_folder):
    """Several steps on one batch by weights that stay."""
    model = new_classifier(prepared_folder / "model", ("a", "b"), 0).cuda()
    with torch.no_grad():
        model.classifier.bias.copy_(torch.tensor([2.0, -2.0]))
    replayed = Replayed(lambda batch, labels: model(**batch, labels=labels).loss, 32)
    batch = {name: torch.ones(4, 8, dtype=torch.int64, device="cuda") for name in ("input_ids", "attention_mask")}
    labels = torch.zeros(4, dtype=torch.int64, device="cuda")
    losses = {replayed(batch, labels).item() for _ in range(6)}
    assert len(losses) == 6 and max(losses) < 1
    assert replayed(batch, 1 - labels).item() > 2


@pytest.mark.parametrize("strategy", ["zero1", "zero2", "zero3"])
def test_deepspeed_comes_to_the_same(prepared_folder, on_gpu, tmp_path, strategy):
    losses, _, found = trained(prepared_folder, tmp_path, EXACT.model_copy(update={"strategy": strategy}))
    assert losses == pytest.approx(on_gpu[0], abs=1e-4) and found["effective"]["strategy"] == strategy


def test_ddp_over_nccl_comes_to_the_same(prepared_folder, on_gpu, tmp_path, monkeypatch):
    """One process, wrapped and launched as several would be."""
    variables = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29533"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    from tests.unit.training import one_training

    one_training.train(prepared_folder, tmp_path, OfOne(**EXACT.model_dump()))
    losses, _, found = outcome(tmp_path)
    assert torch.distributed.get_backend() == "nccl" and found["effective"]["strategy"] == "ddp"
    assert losses == pytest.approx(on_gpu[0], abs=1e-4)


def test_bf16_with_fused_attention_learns_as_well(prepared_folder, on_gpu, tmp_path):
    losses, weights, found = trained(prepared_folder, tmp_path, Launch(device="cuda"))
    effective = found["effective"]
    assert (effective["precision"], effective["attention"], effective["tf32"]) == ("bf16", "sdpa", True)
    assert losses == pytest.approx(on_gpu[0], abs=0.05)
    assert all(value.dtype != torch.bfloat16 for value in weights.values())


@pytest.mark.parametrize("strategy", ["ddp", "zero2"])
def test_stopped_and_started_again_it_ends_in_the_same_weights(prepared_folder, tmp_path, strategy):
    launch = Launch(device="cuda", strategy=strategy)
    calm = trained(prepared_folder, tmp_path / "calm", launch, 0.1)
    process = start(prepared_folder, tmp_path / "stopped", launch, 0.1)
    wait_for_step(tmp_path / "stopped" / "steps.txt", 7, process)
    process.send_signal(signal.SIGTERM)
    assert "stopped on request" in finish(process, well=False)
    again = trained(prepared_folder, tmp_path / "stopped", launch, 0.1)
    assert calm[0] == again[0] and all(calm[1][name].equal(again[1][name]) for name in calm[1])


def test_more_gpus_than_there_are_end_in_one_sentence(prepared_folder, tmp_path):
    there = torch.cuda.device_count()
    said = finish(start(prepared_folder, tmp_path, Launch(device="cuda", gpus=there + 1)), well=False)
    assert f"launch.gpus: {there + 1} were requested, but torch sees {there} here" in said
    assert not (tmp_path / "weights.pt").exists()
