"""Killed at any moment and started again, a study ends in the same tables."""

import contextlib
import fcntl
import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from graft.config.study import parse
from graft.io import files, locks
from graft.study import records
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.job import Job
from tests.conftest import study_values
from tests.workflow.conftest import command, environment, snakemake

KILLS = 4
RTE = {"task": "rte", "seed": 0}


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


@pytest.mark.parametrize("whole", [False, True], ids=["the job", "everything"])
def test_a_kill_in_the_midst_of_a_jobs_steps_loses_one_of_them(pico_glue, pico_models, tmp_path, whole):
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    values = study_values(pico_glue, pico_models, seeds=[0], include=["rte/merge.*", "rte/control.*"])
    values["cost"] = {"measure": False}
    config = tmp_path / "config.json"
    config.write_text(json.dumps(values))
    for folder in (calm, killed):
        folder.mkdir()
    assert snakemake(calm, config).returncode == 0
    grid, paths, job = Grid(parse(values)), Paths(killed / "results/pico"), Job.of("make_systems", RTE)
    steps = graph.jobs_of(grid)[job]
    process = subprocess.Popen(
        command(killed, config),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    )
    middle, deadline = steps[len(steps) // 2], time.monotonic() + 300
    while not middle.log(paths).exists() and time.monotonic() < deadline:
        time.sleep(0.001)
    if whole:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        for pid in pids_with(job.log(paths)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    assert process.wait() != 0 and not job.marker(paths).exists()
    # All that was begun was finished, but for one; states may be gone after their last reader.
    begun = [step for step in steps if step.log(paths).exists() and not step.temporary]
    times = {step: step.output(paths).stat().st_mtime_ns for step in begun if step.output(paths).exists()}
    assert 2 < len(times) < len([step for step in steps if not step.temporary]) and len(begun) - len(times) <= 1
    done = snakemake(killed, config)
    assert done.returncode == 0, done.stdout[-3000:]
    assert {step: step.output(paths).stat().st_mtime_ns for step in times} == times
    assert outcome(killed) == outcome(calm)


def pids_with(path) -> list[int]:
    """The processes that write into a file."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if link.readlink() == path:
                found.add(int(link.parts[2]))
    return sorted(found)


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
