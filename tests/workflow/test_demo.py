"""The demo, from its own config: its first steps, and one task and seed of it on the real MiniLM.

All its commands are followed on a pico model by test_tutorial.py.
"""

import re
import subprocess

import pandas as pd
import pytest

from graft.config.study import load
from tests.workflow.conftest import ROOT, command, environment, snakemake

DEMO = ROOT / "config" / "demo.yaml"


def test_the_demo_is_few_jobs_and_no_download(tmp_path):
    """A job spends seconds on imports, so the number of jobs decides how long the demo takes."""
    done = snakemake(tmp_path, DEMO, "--dry-run")
    assert done.returncode == 0, done.stdout[-2000:]
    jobs = int(re.search(r"^total\s+(\d+)", done.stdout, re.MULTILINE).group(1))
    assert jobs <= 250
    assert {task.source.kind for task in load(DEMO).tasks.values()} == {"generated"}


def test_the_demos_tasks_are_written_as_tsv_once(tmp_path):
    done = snakemake(tmp_path, DEMO, "--", "data")
    assert done.returncode == 0, done.stdout[-2000:]
    for task, header in (
        ("sentiment", "sentence\tlabel"),
        ("similarity", "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore"),
        ("entailment", "index\tsentence1\tsentence2\tlabel"),
    ):
        for split in ("train", "dev"):
            file = tmp_path / "results" / "demo" / "data" / task / "tsv" / f"{split}.tsv"
            assert file.read_text().splitlines()[0] == header
    again = snakemake(tmp_path, DEMO, "--", "data")
    assert again.returncode == 0 and "Nothing to be done" in again.stdout


def test_minilm_scores_on_a_task_of_the_demo_what_the_page_says(tmp_path):
    runs = ["finetune.minilm", "finetune.small", "merge.logit_ensemble", "merge.theseus-centred.labelled"]
    runs += ["control.head-only"]
    # Its patterns over seeds match nothing where there is one.
    chosen = ["seeds=[0]", "exclude=[]", f"include={[f'sentiment/{name}*' for name in runs]}", "cost={measure: false}"]
    # As many threads as a study's jobs have where nobody says how many.
    own = {name: value for name, value in environment().items() if name != "OMP_NUM_THREADS"}
    asked = command(tmp_path, DEMO, "--config", *chosen)
    done = subprocess.run(asked, capture_output=True, text=True, env=own, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    comparison = pd.read_csv(tmp_path / "results" / "demo" / "tables" / "comparison.csv").set_index("system")
    table = comparison["mean"]
    told = dict(re.findall(r"^\| `([\w.-]+)` \| \**([\d.]+)", (ROOT / "docs" / "demo.md").read_text(), re.MULTILINE))
    # The page has the mean of twelve seeds.
    found = {name: table[[system for system in table.index if system.startswith(name)]].item() for name in runs}
    for name, value in found.items():
        (shown,) = [float(value) for system, value in told.items() if system.startswith(name)]
        assert value == pytest.approx(shown, abs=0.1), name
    assert found["finetune.minilm"] > found["merge.theseus-centred.labelled"] > found["control.head-only"] + 0.02
    # What distilled the small model, for all tasks, is more than fine-tuning the large one on this one takes.
    ratios = comparison["train_flops_ratio"]
    assert ratios["merge.theseus-centred.labelled.small-into-minilm"] > ratios["finetune.small"] > 1
