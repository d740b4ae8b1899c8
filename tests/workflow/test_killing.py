"""Killed at any moment and started again, a study ends in the same tables."""

import json
import os
import random
import signal
import subprocess
import time

import pytest
from conftest import study_values

from graft import records
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
