"""One's own study: snakemake takes what `graft new` writes, and overrides and patterns choose its runs."""

import re
import subprocess
import sys

import pytest

from tests.workflow.conftest import environment, snakemake

RUN = re.compile(r"workflow_scripts\.evaluate .*--task (\S+) --system (\S+) --seed (\S+) ")
PAIR = "small-into-large"


def planned(folder, config, *arguments) -> set[str]:
    """Ids of the runs that a dry run would evaluate."""
    done = snakemake(folder, config, "--dry-run", "--printshellcmds", *arguments)
    assert done.returncode == 0, done.stdout
    return {f"{task}/{system}/seed-{seed}" for task, system, seed in RUN.findall(done.stdout)}


@pytest.fixture
def everything(study_config, write_config, tmp_path):
    """Config of a study of all three tasks with two seeds, and its folder."""
    return tmp_path, write_config(study_config)


def test_a_new_study_of_own_tasks_models_and_methods_passes_a_dry_run(pico_glue, pico_models, tmp_path):
    models = [f"--{role}={pico_models / role}" for role in ("large", "small")]
    choice = ["--task", f"reviews={pico_glue / 'SST-2'}", "--method", "interpolate", "--seeds", "1"]
    new = [sys.executable, "-m", "graft", "new", "mine", *models, *choice]
    subprocess.run(new, cwd=tmp_path, env=environment(), check=True)
    runs = planned(tmp_path, tmp_path / "config" / "mine.yaml")
    assert {run for run in runs if "control" not in run} == {
        *(f"reviews/finetune.{model}/seed-0" for model in ("large", "small")),
        *(f"reviews/probe.{pooling}.{model}/seed-all" for pooling in ("cls", "mean") for model in ("large", "small")),
        "reviews/majority/seed-all",
        f"reviews/merge.interpolate.{PAIR}/seed-0",
    }


def test_any_key_can_be_changed_from_the_command_line(everything):
    merge = "systems={merge: {theseus: {heads: [labelled], strengths: [0, 2.5]}, interpolate: {trials: 2}}}"
    runs = planned(*everything, "--config", "seeds=[5]", merge)
    assert {run.split("/seed-")[1] for run in runs} == {"5", "all"}
    assert {run.split("/")[1] for run in runs if "theseus" in run} == {f"merge.theseus.labelled.{PAIR}"}
    assert any("merge.interpolate" in run for run in runs)  # what is not named stays


def test_the_default_study_can_be_changed_from_the_command_line(tmp_path):
    runs = planned(tmp_path, None, "--config", "seeds=1", 'include=["rte/finetune.*"]')
    models = ("bert-base", "tinybert-4l", "untrained", "undistilled")
    assert runs == {f"rte/finetune.{model}/seed-0" for model in models}


def test_a_wrong_key_on_the_command_line_is_told_in_one_line(everything):
    done = snakemake(*everything, "--config", "launch={threats: 2}")
    assert done.returncode != 0 and "Traceback" not in done.stdout
    assert sum("launch.threats: unknown key; available: device" in line for line in done.stdout.splitlines()) == 1


def test_patterns_on_the_command_line_choose_runs(everything):
    patterns = ['include=["*/majority/*", "rte/finetune.small/seed-?"]', 'exclude=["sst2/*", "*/seed-1"]']
    runs = planned(*everything, "--config", *patterns)
    assert runs == {"rte/majority/seed-all", "stsb/majority/seed-all", "rte/finetune.small/seed-0"}


def test_a_run_that_is_left_out_is_still_made_where_others_are_made_of_it(everything):
    patterns = 'include=["rte/merge.interpolate.*/seed-0"]'
    done = snakemake(*everything, "--dry-run", "--printshellcmds", "--config", patterns)
    assert len(RUN.findall(done.stdout)) == 1
    assert "workflow_scripts.finetune_model" in done.stdout
