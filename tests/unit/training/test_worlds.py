"""Many processes train as one does, and every wrong way to start them ends in one sentence."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from graft.config.launch import Launch
from graft.study import launcher

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]
MODULE = "tests.unit.training.one_training"
TWO = Launch(device="cpu", precision="fp32", gpus=2)
STRATEGIES = ("ddp", "zero1", "zero2", "zero3")


def two(strategy, **more):
    return TWO.model_copy(update={"strategy": strategy, **more})


def environment(launch, **more):
    return {**os.environ, "PYTHONPATH": str(ROOT), **launcher.environment(launch, on_cpu=True), **more}


def start(folder, out, launch, command=None, node=launcher.Node(), **variables):  # noqa: B008 - it never changes
    """Start one_training as the launcher would, or by another command, with the launcher's variables, or others."""
    program = [MODULE, str(folder), str(out), launch.model_dump_json()]
    command = [*command, *program] if command else launcher.command(launch, node, program)
    env = {k: v for k, v in environment(launch, **variables).items() if v is not None}
    return subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(process, well=True):
    said, _ = process.communicate(timeout=300)
    assert (process.returncode == 0) == well, said[-3000:]
    return said


@pytest.fixture(scope="module")
def alone(prepared_folder, tmp_path_factory):
    """The result of a single process."""
    out = tmp_path_factory.mktemp("alone")
    launch = TWO.alone()
    finish(start(prepared_folder, out, launch, [sys.executable, "-m"]))
    return out


def outcome(out):
    found = json.loads((out / "result.json").read_text())
    return [epoch["loss"] for epoch in found["epochs"]], torch.load(out / "weights.pt", weights_only=True), found


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_processes_end_where_one_does(prepared_folder, alone, tmp_path, strategy):
    finish(start(prepared_folder, tmp_path, two(strategy)))
    (losses, weights, found), (expected, others, other) = outcome(tmp_path), outcome(alone)
    assert losses == pytest.approx(expected, abs=1e-5)
    assert all(torch.allclose(weights[name], others[name], atol=1e-4) for name in others)
    assert found["effective"]["processes"] == 2 and found["effective"]["strategy"] == strategy
    assert found["flops"]["select"] == other["flops"]["select"]
    # Shares of a batch are padded to their own longest row.
    assert found["flops"]["train"] <= other["flops"]["train"]


def test_one_process_may_be_deepspeeds(prepared_folder, alone, tmp_path):
    finish(start(prepared_folder, tmp_path, TWO.model_copy(update={"gpus": 1, "strategy": "zero2"})))
    losses, _, found = outcome(tmp_path)
    assert losses == pytest.approx(outcome(alone)[0], abs=1e-5) and found["effective"]["strategy"] == "zero2"


@pytest.mark.parametrize("strategy", ["ddp", "zero2"])
def test_a_token_budget_only_splits_passes(prepared_folder, alone, tmp_path, strategy):
    finish(start(prepared_folder, tmp_path, two(strategy, pass_tokens=24)))
    (losses, weights, _), (expected, others, _) = outcome(tmp_path), outcome(alone)
    assert losses == pytest.approx(expected, abs=1e-5)
    assert all(torch.allclose(weights[name], others[name], atol=1e-4) for name in others)


def test_two_nodes_find_each_other(prepared_folder, alone, tmp_path):
    """As srun starts one launcher on each; both stand on this host here."""
    launch = TWO.model_copy(update={"gpus": 1, "nodes": 2})
    nodes = [launcher.Node(rank, "127.0.0.1", 29_617) for rank in range(2)]
    for process in [start(prepared_folder, tmp_path, launch, node=node) for node in nodes]:
        finish(process)
    assert outcome(tmp_path)[0] == pytest.approx(outcome(alone)[0], abs=1e-5)


@pytest.mark.parametrize("strategy", ["ddp", "zero3"])
def test_asked_to_stop_all_processes_do_and_go_on_to_the_same_weights(prepared_folder, tmp_path, strategy):
    launch = two(strategy)
    finish(start(prepared_folder, tmp_path / "calm", launch))
    stopped = tmp_path / "stopped"
    process = start(prepared_folder, stopped, launch)
    wait_for_step(stopped / "steps.txt", 7, process)
    process.send_signal(signal.SIGTERM)
    said = finish(process, well=False)
    assert "stopped on request" in said and not (stopped / "weights.pt").exists()
    said = finish(start(prepared_folder, stopped, launch))
    assert "resuming from" in said
    calm, again = outcome(tmp_path / "calm"), outcome(stopped)
    assert calm[0] == again[0] and all(calm[1][name].equal(again[1][name]) for name in calm[1])


def wait_for_step(file, step, process):
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        if file.is_file() and (lines := file.read_text().split()) and int(lines[-1]) >= step:
            return
        time.sleep(0.005)
    raise AssertionError(f"step {step} was not reached: {process.stdout.read()[-2000:] if process.poll() else ''}")


ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch"]
QUIET = ["--mixed_precision", "no", "--dynamo_backend", "no", "--num_machines", "1"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]
# How it is started, its variables, what is asked for, and what it must say. Most of them train otherwise.
WRONG = {
    "--cpu: one process": (
        [*ACCELERATE, "--cpu", *QUIET, "--num_processes", "2", "--module"],
        {},
        "ddp",
        "only one was started",
    ),
    "DeepSpeed dropped": (TORCHRUN, {"ACCELERATE_USE_CPU": "true"}, "zero2", "silently skips DeepSpeed"),
    "DeepSpeed for a GPU": (TORCHRUN, {"DS_ACCELERATOR": None}, "zero2", "needs DS_ACCELERATOR=cpu"),
    "no launcher": ([sys.executable, "-m"], {}, "ddp", "only one was started"),
    "no launcher, variables of one": ([sys.executable, "-m"], {"WORLD_SIZE": "2"}, "ddp", "not started by a launcher"),
}


@pytest.mark.parametrize("way", WRONG)
def test_a_wrong_launch_ends_in_one_sentence(prepared_folder, tmp_path, way):
    command, variables, strategy, sentence = WRONG[way]
    said = finish(start(prepared_folder, tmp_path, two(strategy), command, **variables), well=False)
    assert sentence in said, said[-3000:]
    assert not (tmp_path / "weights.pt").exists() and not (tmp_path / "training.jsonl").exists()


@pytest.mark.parametrize("command", [TORCHRUN, None], ids=["torchrun", "accelerate"])
def test_started_without_accelerates_variables_they_are_together_all_the_same(
    prepared_folder, alone, tmp_path, command
):
    """Two processes that do not know of each other, both saving, is what these forms come to where nobody looks."""
    finish(start(prepared_folder, tmp_path, TWO, command, ACCELERATE_USE_CPU=None))
    losses, _, found = outcome(tmp_path)
    assert losses == pytest.approx(outcome(alone)[0], abs=1e-5) and found["effective"]["processes"] == 2


def test_more_processes_than_asked_for_do_not_train_twice(prepared_folder, tmp_path):
    said = finish(start(prepared_folder, tmp_path, TWO.alone(), TORCHRUN), well=False)
    assert "needs 1 processes" in said and "2 were started" in said
    assert not (tmp_path / "training.jsonl").exists()
