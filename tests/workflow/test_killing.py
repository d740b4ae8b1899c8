"""Killed at any moment and started again, a study ends in the same tables."""

import fcntl
import json
import os
import random
import signal
import subprocess
import time

import pytest

from graft.io import files, locks
from graft.study import records
from tests.conftest import study_values
from tests.workflow.conftest import command, environment, snakemake

KILLS = 4


@pytest.fixture
def small_study(pico_glue, pico_models, tmp_path):
    values = study_values(
        pico_glue, pico_models, seeds=[0], include=["sst2/finetune.small/*", "sst2/merge.interpolate*"]
    )
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values))
    return path


def outcome(folder):
    results = folder / "results" / "pico"
    runs = {
        str(path.relative_to(results)): records.without_measured(records.read(path))
        for path in sorted(results.glob("runs/*/*/*/run.json"))
    }
    predictions = {str(p.relative_to(results)): p.read_bytes() for p in sorted(results.glob("runs/*/*/*/*.parquet"))}
    weights = {str(p.relative_to(results)): p.read_bytes() for p in sorted(results.glob("runs/*/*/*/model/*"))}
    return runs, predictions, weights, (results / "tables" / "comparison.csv").read_text()


def test_killed_and_started_again_ends_in_the_same_tables(small_study, tmp_path):
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    for folder in (calm, killed):
        folder.mkdir()
    started = time.monotonic()
    assert snakemake(calm, small_study).returncode == 0
    whole = time.monotonic() - started
    dice = random.Random(0)
    for kill in range(KILLS):
        process = subprocess.Popen(
            command(killed, small_study),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(),
            start_new_session=True,
        )
        # Later kills let it come further, so that they fall into different rules.
        time.sleep(dice.uniform(0.2, 0.6) * whole * (0.4 + 0.2 * kill))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = snakemake(killed, small_study)
    assert done.returncode == 0, done.stdout[-3000:]
    assert outcome(killed) == outcome(calm)


def test_orphans_of_a_killed_snakemake_are_waited_for(small_study, tmp_path):
    """Only snakemake dies; its jobs live on. The next one starts none beside them."""
    values = json.loads(small_study.read_text())
    # Long enough that the job outlives the start of the next snakemake.
    values["models"]["small"]["finetune"]["sst2"]["epochs"] = 200
    small_study.write_text(json.dumps(values))
    process = subprocess.Popen(
        command(tmp_path, small_study),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    )
    log = tmp_path / "results/pico/logs/finetune_model/sst2/finetune.small/seed-0.log"
    deadline = time.monotonic() + 120
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert log.exists()
    # The job takes the lock once it has imported what it needs.
    lock = tmp_path / "results/pico/.jobs.lock"
    while not shared(lock) and time.monotonic() < deadline:
        time.sleep(0.01)
    # And its log, by which `status` knows that it lives.
    while locks.holder(log) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert locks.holder(log) is not None
    process.kill()
    process.wait()
    done = snakemake(tmp_path, small_study)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "waiting for jobs of an earlier run" in done.stdout
    assert not list((tmp_path / "results").rglob(f"*{files.TEMPORARY}*"))


def shared(lock) -> bool:
    with lock.open() as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
