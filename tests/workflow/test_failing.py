"""A run that fails hides no other: tables of what exists, and a status that says why."""

import json
import subprocess
import sys
import time

import pandas as pd
import pytest

from tests.conftest import study_values
from tests.workflow.conftest import environment, snakemake

PAIR = "small-into-large"


@pytest.fixture(scope="module")
def failed(pico_glue, pico_models, tmp_path_factory):
    """A study whose fine-tuning of the small model on one task diverges."""
    folder = tmp_path_factory.mktemp("failed")
    include = ["*/finetune.*", "*/merge.interpolate.*"]
    values = study_values(pico_glue, pico_models, seeds=[0], include=include)
    del values["tasks"]["stsb"]
    # AdamW divides 0 by 0 for words that a batch lacks.
    values["models"]["small"]["finetune"]["rte"]["adam_epsilon"] = 1e-300
    config = folder / "config.json"
    config.write_text(json.dumps(values))
    done = snakemake(folder, config)
    assert done.returncode != 0
    return folder


def test_the_tables_are_made_of_the_runs_that_exist(failed):
    table = pd.read_csv(failed / "results/pico/tables/comparison.csv").set_index(["task", "system"])
    assert len(table) == 7
    assert (table.loc["sst2"][["n_seeds", "n_failed", "n_missing"]] == (1, 0, 0)).all(axis=None)
    columns = ["n_seeds", "n_failed", "n_missing"]
    assert table.loc[("rte", "finetune.small"), columns].tolist() == [0, 1, 0]
    assert table.loc[("rte", f"merge.interpolate.{PAIR}"), columns].tolist() == [0, 0, 1]
    assert table.loc[("rte", "finetune.large"), columns].tolist() == [1, 0, 0]
    figures = {path.stem for path in (failed / "results/pico/figures").glob("*.svg")}
    assert {f"metric-vs-training-flops.{task}" for task in ("sst2", "rte")} <= figures


def test_the_report_says_what_is_not_there_and_why(failed):
    page = (failed / "results/pico/report.html").read_text()
    assert "Of 6 runs 1 failed and 1 are missing" in page
    assert "finetune_model: loss is" in page and "which failed" in page
    assert "On rte there is no answer: no merge has finished." in page


def test_what_the_tables_command_made_is_older_than_every_run_and_fits_into_a_zip(failed):
    results = failed / "results/pico"
    runs = min(path.stat().st_mtime for path in results.glob("runs/*/*/*/run.json"))
    for path in (*(results / "tables").iterdir(), results / "figures", results / "report.html"):
        assert 1980 <= time.gmtime(path.stat().st_mtime).tm_year and path.stat().st_mtime < runs, path


def test_status_says_why_and_where_and_what_waits_for_it(failed):
    done = subprocess.run(
        [sys.executable, "-m", "graft", "status"], cwd=failed, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "finetune_model: loss is nan" in done.stdout or "finetune_model: loss is inf" in done.stdout
    assert "results/pico/logs/finetune_model/rte/finetune.small/seed-0.log" in done.stdout
    assert "waits for rte/finetune.small/seed-0, which failed" in done.stdout
    assert "6 runs: 4 done, 1 failed, 1 missing" in done.stdout
    assert "snakemake is not running this study" in done.stdout
