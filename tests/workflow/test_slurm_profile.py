"""`--profile slurm` from a fresh clone, without a cluster: what would be asked of one."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from graft.config.study import parse
from graft.study.grid import Grid
from graft.study.steps import graph
from tests.workflow.conda import Conda
from tests.workflow.conftest import ROOT, snakemake

PROFILE = Path("profiles/slurm/config.v9+.yaml")
NOT_CLONED = (".git", ".venv", ".snakemake", ".pytest_cache", ".ruff_cache", "__pycache__", "results")


@pytest.fixture
def clone(tmp_path) -> Path:
    return shutil.copytree(ROOT, tmp_path / "clone", symlinks=True, ignore=shutil.ignore_patterns(*NOT_CLONED))


def plan(clone: Path, *arguments: str, path: str | None = None) -> str:
    """The output of `snakemake --profile slurm -n` in the root of a clone."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--profile", "slurm", "-n", *arguments],
        cwd=clone,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | ({"PATH": path} if path else {}),
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def resources(output: str) -> dict[str, list[dict[str, str]]]:
    """By rule, the resources of each of its jobs, as snakemake prints them."""
    found: dict[str, list[dict[str, str]]] = {}
    for rule, line in re.findall(r"^ *(?:local)?rule (\w+):\n(?:.+\n)*? +resources: (.+)$", output, re.MULTILINE):
        found.setdefault(rule, []).append(dict(item.split("=", 1) for item in line.split(", ")))
    return found


def rules_with_a_gpu() -> set[str]:
    """Rules of this repository that name the number of GPUs they want, or are like one that does."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    found: set[str] = set()
    for like, name, body in re.findall(
        r"^(?:use rule (\w+) as |rule )(\w+)(?: with)?:(.*?)(?=^rule |^use rule |\Z)", text, re.MULTILINE | re.DOTALL
    ):
        asks = any(f"**{asked}" in body for asked in ("GPU", "SMALL", "TRAINING"))
        if asks or ("resources:" not in body and like in found):
            found.add(name)
    return found


def edited(clone: Path, **site: str) -> Path:
    """The clone with its profile's keys for the site filled in."""
    file = clone / PROFILE
    text = file.read_text()
    for key, value in site.items():
        text, count = re.subn(rf"^  {key}: .*$", f"  {key}: {value}", text, flags=re.MULTILINE)
        assert count == 1, key
    file.write_text(text)
    return clone


def test_the_default_study_is_planned_from_a_fresh_clone(clone):
    assert (clone / "slurm").is_symlink() and os.readlink(clone / "slurm") == "profiles/slurm"
    output = plan(clone)
    assert "finetune.bert-base" in output and "onda environment" not in output
    asked = resources(output)
    assert rules_with_a_gpu() == {rule for rule, jobs in asked.items() if jobs[0].get("gpu") == "1"} | {
        "distil_model",
        "model_statistics",
        "warm_start",
    }
    assert {int(job["mem_mb"]) for job in asked["finetune_model"]} == {10000}
    for jobs in asked.values():
        for job in jobs:
            assert int(job["mem_mb"]) >= 500 and int(job["runtime"]) > 0, "two snakemakes live in every allocation"
            assert "slurm_partition" not in job and "slurm_account" not in job and "gres" not in job


def test_small_steps_go_out_together(clone, study_config, write_config):
    """3 tasks x 12 seeds x 15 systems and more, in no more than 60 calls of sbatch."""
    study_config["seeds"] = 12
    output = plan(clone, "--configfile", str(write_config(study_config)))
    groups = len(re.findall(r" Group job ", output))
    text = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    bodies = re.split(r"^(?=rule |use rule )", text, flags=re.MULTILINE)
    here = {"all", *(body.split()[1].rstrip(":") for body in bodies if "localrule: True" in body)}
    alone = sum(rule not in here for rule in re.findall(r"^rule (\w+)", output, re.MULTILINE))
    assert {"gather", "keep_models", "download_task"} < here and "calibrate" not in here
    grid = Grid(parse(study_config))
    assert len({run.system.name for run in grid.runs}) >= 15 and len(graph.of_study(grid)) > 3 * 12 * 15
    assert groups + alone <= 60, (groups, alone)


def test_a_study_on_the_cpu_asks_for_no_gpu(clone, study_config, write_config):
    study_config["launch"] = {"device": "cpu"}
    asked = resources(plan(clone, "--configfile", str(write_config(study_config))))
    assert "finetune_model" in asked
    assert {job.get("gpu", "0") for jobs in asked.values() for job in jobs} == {"0"}


def test_what_a_site_says_reaches_its_jobs_and_gpus_are_asked_for_in_one_way(clone, study_config, write_config):
    edited(clone, partition="all", gpu_partition="fast-gpu", account="12345", gres="gpu:a100")
    asked = resources(plan(clone, "--configfile", str(write_config(study_config))))
    assert {job["slurm_account"] for jobs in asked.values() for job in jobs} == {"12345"}
    assert {job["slurm_partition"] for job in asked["tokenize_task"]} == {"all"}
    for rule in rules_with_a_gpu() & asked.keys():
        assert {job["slurm_partition"] for job in asked[rule]} == {"fast-gpu"}, rule
        assert {(job.get("gpu"), job["gres"]) for job in asked[rule]} == {(None, "gpu:a100:1")}, rule
    assert not any("gres" in job for job in asked["tokenize_task"])
    study_config["launch"] = {"device": "cpu"}
    asked = resources(plan(clone, "--configfile", str(write_config(study_config))))
    assert {job["slurm_partition"] for job in asked["finetune_model"]} == {"all"}


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_finetuning_asks_for_the_gpus_of_all_its_processes(clone, study_config, write_config, nodes):
    study_config["launch"] = {"gpus": 4, "nodes": nodes, "threads": 2}
    asked = resources(plan(clone, "--configfile", str(write_config(study_config))))
    (one,) = {tuple(sorted(job.items())) for job in asked["finetune_model"]}
    one = dict(one)
    if nodes == 1:
        assert one["gpu"] == "4" and "gres" not in one and one["nodes"] == "1"
    else:
        assert (one["nodes"], one["tasks"], one["gres"], one["mpi"]) == ("2", "2", "gpu:4", "srun") and "gpu" not in one
    assert one["mem_mb"] == "34000"
    assert {job["gpu"] for job in asked["make_systems"]} == {"1"}


def test_conda_environments_are_for_sites_that_ask_for_them(clone, study_config, write_config, tmp_path):
    path = Conda.at(tmp_path / "conda").path()
    config = ("--configfile", str(write_config(study_config)))
    assert "Conda environment" not in plan(clone, *config, path=path)
    assert "Conda environment envs/train.yaml will be created" in plan(edited(clone, conda="true"), *config, path=path)


def test_a_job_that_failed_is_tried_again_with_more_and_steps_without_a_gpu_need_none(
    study_config, write_config, tmp_path
):
    """A study for GPUs on a machine that has none: fine-tuning fails each time, the baseline does not."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU, so nothing fails")
    study_config |= {"launch": {"device": "cuda"}, "include": ["rte/finetune.small/seed-0", "rte/majority/*"]}
    done = snakemake(tmp_path, write_config(study_config), "--retries", "1")
    assert done.returncode != 0
    tried = [(job["mem_mb"], job["runtime"]) for job in resources(done.stdout)["finetune_model"]]
    assert tried == [("10000", "240"), ("20000", "480")]
    log = tmp_path / "results/pico/logs/finetune_model/rte/finetune.small/seed-0.log"
    assert "torch sees no GPU" in log.read_text()
    assert (tmp_path / "results/pico/runs/rte/majority/seed-all/build.json").is_file()
