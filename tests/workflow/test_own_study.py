"""One's own study: snakemake takes what `graft new` writes, and overrides and patterns choose its runs."""

import json
import re
import subprocess
import sys

import pytest

from graft.config.study import parse, read_values
from graft.study.grid import Grid
from graft.study.steps import graph
from graft.study.steps.job import PLACES
from tests.workflow.conftest import ROOT, environment, snakemake

PROGRAM = re.compile(r"workflow_scripts\.(\w+) --study \S+((?: --\w+ \S+)*) --fingerprint (\w+)")
PAIR = "small-into-large"


def planned(folder, config, meant, *arguments) -> set[str]:
    """Ids of the runs of the config that is `meant`; a dry run would do all of its jobs, and no others.

    A job's fingerprint is that of all its steps: each is in the job with its settings.
    """
    done = snakemake(folder, config, "--dry-run", "--printshellcmds", *arguments)
    assert done.returncode == 0, done.stdout
    grid = Grid(parse(meant))
    asked = {
        " ".join((program, *wildcards.split()[1::2])): fingerprint
        for program, wildcards, fingerprint in PROGRAM.findall(done.stdout)
        if program in PLACES
    }
    assert asked == {str(job): graph.job_fingerprint(grid, job) for job in graph.jobs_of(grid)}
    return {run.id for run in grid.runs}


@pytest.fixture
def everything(study_config, write_config, tmp_path):
    """Folder and config of a study of all three tasks with two seeds, and the config's values."""
    return tmp_path, write_config(study_config), json.loads(json.dumps(study_config))


def test_a_new_study_of_own_tasks_models_and_methods_passes_a_dry_run(pico_glue, pico_models, tmp_path):
    models = [f"--{role}={pico_models / role}" for role in ("large", "small")]
    choice = ["--task", f"reviews={pico_glue / 'SST-2'}", "--method", "interpolate", "--seeds", "1"]
    new = [sys.executable, "-m", "graft", "new", "mine", *models, *choice]
    subprocess.run(new, cwd=tmp_path, env=environment(), check=True)
    config = tmp_path / "config" / "mine.yaml"
    runs = planned(tmp_path, config, read_values(config))
    assert {run for run in runs if "control" not in run} == {
        *(f"reviews/finetune.{model}/seed-0" for model in ("large", "small")),
        *(f"reviews/probe.{how}.{model}/seed-all" for how in ("mean", "layers") for model in ("large", "small")),
        *(f"reviews/budget.new.{fraction}.large/seed-0" for fraction in ("1-8", "1-4")),
        "reviews/majority/seed-all",
        f"reviews/merge.interpolate.{PAIR}/seed-0",
    }


def test_any_key_can_be_changed_from_the_command_line(everything):
    merge = "systems={merge: {theseus: {heads: [labelled], strengths: [0, 2.5]}, interpolate: {trials: 2}}}"
    _, _, meant = everything
    meant["seeds"] = [5]
    meant["systems"]["merge"]["theseus"] |= {"heads": ["labelled"], "strengths": [0, 2.5]}
    meant["systems"]["merge"]["interpolate"]["trials"] = 2
    runs = planned(*everything, "--config", "seeds=[5]", merge)
    assert {run.split("/seed-")[1] for run in runs} == {"5", "all"}
    assert {run.split("/")[1] for run in runs if "theseus" in run} == {f"merge.theseus.labelled.{PAIR}"}
    assert any("merge.interpolate" in run for run in runs)  # what is not named stays


def test_the_default_study_can_be_changed_from_the_command_line(tmp_path):
    meant = read_values(ROOT / "config.yaml") | {"seeds": 1, "include": ["rte/finetune.*"]}
    runs = planned(tmp_path, None, meant, "--config", "seeds=1", 'include=["rte/finetune.*"]')
    models = ("bert-base", "few-32.bert-base", "few-128.bert-base", "tinybert-4l", "untrained", "undistilled")
    assert runs == {f"rte/finetune.{model}/seed-0" for model in models}


def test_a_wrong_key_on_the_command_line_is_told_in_one_line(everything):
    folder, config, _ = everything
    done = snakemake(folder, config, "--config", "launch={threats: 2}")
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert sum("launch.threats: unknown key; available: device" in line for line in done.stdout.splitlines()) == 1


def test_patterns_on_the_command_line_choose_runs(everything):
    patterns = ['include=["*/majority/*", "rte/finetune.small/seed-?"]', 'exclude=["sst2/*", "*/seed-1"]']
    _, _, meant = everything
    meant |= {"include": ["*/majority/*", "rte/finetune.small/seed-?"], "exclude": ["sst2/*", "*/seed-1"]}
    runs = planned(*everything, "--config", *patterns)
    assert runs == {"rte/majority/seed-all", "stsb/majority/seed-all", "rte/finetune.small/seed-0"}


def test_a_run_that_is_left_out_is_still_made_where_others_are_made_of_it(everything):
    _, _, meant = everything
    meant["include"] = ["rte/merge.interpolate.*/seed-0"]
    runs = planned(*everything, "--config", 'include=["rte/merge.interpolate.*/seed-0"]')
    assert runs == {f"rte/merge.interpolate.{PAIR}/seed-0"}
    made = {step.system for step in graph.of_study(Grid(parse(meant))) if step.rule == "finetune_model"}
    assert made == {"finetune.small"}
