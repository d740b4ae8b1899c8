"""Killed at any step, by any signal, and started again, a training ends in the same weights."""

import json
import multiprocessing
import os
import random
import signal
import time

import pytest
import torch

from graft.config.launch import Launch
from graft.io import files
from tests.unit.training import one_training

KILLS = 20
EVERY_STEP = Launch(device="cpu", precision="fp32", checkpoint_minutes=0)
FORKS = multiprocessing.get_context("forkserver")
SETTINGS = one_training.SETTINGS.model_copy(update={"epochs": 6})


@pytest.fixture(scope="module", autouse=True)
def imported():
    """Attempts are forked from a process that has imported what they need."""
    FORKS.set_forkserver_preload(["tests.unit.training.one_training"])


def attempt(folder, out, launch=EVERY_STEP, settings=SETTINGS):
    process = FORKS.Process(target=quiet, args=(folder, out, launch, settings))
    process.start()
    return process


def quiet(folder, out, launch, settings):
    """A training with dropout, so that random numbers count, whose words go into a file."""
    out.mkdir(exist_ok=True)
    said = os.open(out / "said.txt", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(said, 1)
    os.dup2(said, 2)
    one_training.run_program(lambda: one_training.train(folder, out, launch, settings, dropout=0.1))


def whole(folder, out, **how):
    process = attempt(folder, out, **how)
    process.join(120)
    assert process.exitcode == 0, (out / "said.txt").read_text()[-3000:]


def last_step(out):
    lines = (out / "steps.txt").read_text().split() if (out / "steps.txt").is_file() else []
    return int(lines[-1]) if lines else 0


def outcome(out):
    log = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    for line in log:
        line.pop("examples_per_second", None)
    return json.loads((out / "result.json").read_text()), log, torch.load(out / "weights.pt", weights_only=True)


def assert_equal(first, second):
    assert first[:2] == second[:2]
    assert all(first[2][name].equal(second[2][name]) for name in first[2])


def test_killed_twenty_times_it_ends_in_the_same_weights(prepared_folder, tmp_path):
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    whole(prepared_folder, calm, launch=EVERY_STEP.model_copy(update={"checkpoint_minutes": None}))
    steps, dice = last_step(calm), random.Random(0)
    ways = [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1]
    kills = 0
    while kills < KILLS:
        before = last_step(killed)
        wanted = min(before + dice.randint(1, max(1, 2 * (steps - before) // (KILLS - kills))), steps - 1)
        process = attempt(prepared_folder, killed)
        while last_step(killed) < wanted and process.is_alive():
            time.sleep(0.001)
        time.sleep(dice.uniform(0, 0.02))
        os.kill(process.pid, ways[kills % 3])
        process.join(60)
        # Before it listens, and after, a signal ends it at once.
        assert process.exitcode in (0, 1, *(-way for way in ways)), (killed / "said.txt").read_text()[-3000:]
        if process.exitcode == 0:
            break
        kills += 1
    assert kills >= KILLS - 2, f"it ended after {kills} kills"
    if not (killed / "weights.pt").exists():
        whole(prepared_folder, killed)
    assert_equal(outcome(calm), outcome(killed))
    assert "stopped on request (SIGTERM)" in (killed / "said.txt").read_text()


def test_asked_to_stop_while_it_is_scored_it_scores_again(prepared_folder, tmp_path, monkeypatch):
    calm, stopped = tmp_path / "calm", tmp_path / "stopped"
    rarely = EVERY_STEP.model_copy(update={"checkpoint_minutes": None})
    arguments = {"launch": rarely, "settings": SETTINGS, "dropout": 0.1}
    one_training.train(prepared_folder, calm, **arguments)
    from graft.training import finetuning

    original, calls = finetuning.run, []

    def told(compute, *rest):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGUSR1)
        return original(compute, *rest)

    monkeypatch.setattr(finetuning, "run", told)
    with pytest.raises(finetuning.Stopped, match="SIGUSR1"):
        one_training.train(prepared_folder, stopped, **arguments)
    (folder,) = (stopped / "checkpoints").glob("step-*")
    position = files.read_json(folder / "position.json")
    assert position["epoch"] == 1 and len(position["epochs"]) == 1
    one_training.train(prepared_folder, stopped, **arguments)
    assert_equal(outcome(calm), outcome(stopped))


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "no manifest"])
def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_used(prepared_folder, tmp_path, damage):
    calm, out = tmp_path / "calm", tmp_path / "out"
    whole(prepared_folder, calm)
    process = attempt(prepared_folder, out)
    while last_step(out) < 20:
        time.sleep(0.001)
    process.kill()
    process.join()
    older, newest = sorted((out / "checkpoints").glob("step-*"))
    state = newest / "state.pt"
    if damage == "cut":
        os.truncate(state, 100)
    elif damage == "changed":
        state.write_bytes(state.read_bytes()[:-1] + b"x")
    elif damage == "missing":
        state.unlink()
    else:
        (newest / "manifest.json").unlink()
    whole(prepared_folder, out)
    said = (out / "said.txt").read_text()
    assert f"{newest}: " in said and "using the checkpoint before it" in said
    assert f"resuming from {older}" in said
    assert_equal(outcome(calm), outcome(out))


def test_two_checkpoints_are_kept(prepared_folder, tmp_path):
    whole(prepared_folder, tmp_path)
    assert len(list((tmp_path / "checkpoints").glob("step-*"))) == 2
    assert not files.leftovers(tmp_path)
