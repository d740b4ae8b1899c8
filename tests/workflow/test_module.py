"""Graft as a module of somebody's own workflow, in an otherwise empty folder."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import study_values
from tests.workflow.conftest import ROOT, call, environment

# A rule of the module is changed, and handlers are the workflow's own; before and after the module.
SNAKEFILE = """
configfile: "config.json"

onstart:
    shell("echo started > started.txt")

module graft:
    snakefile: {snakefile}
    config: config["graft"]
    prefix: "merging"

use rule * from graft as graft_*

use rule report from graft as graft_report with:
    priority: 5

onsuccess:
    shell("echo succeeded > succeeded.txt")

rule table:
    default_target: True
    input: "merging/results/pico/tables/comparison.csv", "merging/results/pico/report.html"
    output: "systems.txt"
    shell: "cut -d, -f2 {{input[0]}} > {{output}} && echo PYTHONPATH=$PYTHONPATH >> {{output}}"
"""
# As in Graft's profiles.
TRIGGERS = ("--rerun-triggers", "mtime", "params", "code")


def snakemake(folder: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    """Exit status, and all that was said; no profile, and no environment of a clone."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *TRIGGERS, *arguments]
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
    done = subprocess.run(
        command,
        cwd=folder,
        env=own,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def values(pico_glue, pico_models) -> dict:
    values = study_values(pico_glue, pico_models, seeds=[0], include=["rte/*"], cost={"measure": False})
    values["systems"] = {"probe": {"pooling": ["mean"]}, "merge": {"logit_ensemble": {}}}
    return values


def workflow(folder: Path, values: dict, snakefile: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"graft": values, "others": [0]}))
    (folder / "Snakefile").write_text(SNAKEFILE.format(snakefile=snakefile))
    return folder


@pytest.fixture(scope="module")
def finished(values, tmp_path_factory) -> Path:
    folder = workflow(tmp_path_factory.mktemp("module"), values, f"{str(ROOT / 'Snakefile')!r}")
    status, said = snakemake(folder, "-n")
    assert status == 0 and "rule graft_finetune_model" in said, said[-3000:]
    assert not (folder / "merging").exists() and not (folder / "started.txt").exists()
    status, said = snakemake(folder, PYTHONPATH="/their/own")
    assert status == 0, said[-3000:]
    return folder


def test_a_rule_of_ones_own_reads_the_table_below_the_prefix(finished):
    table = pd.read_csv(finished / "merging/results/pico/tables/comparison.csv")
    assert "merge.logit_ensemble.small-into-large" in set(table["system"]) and table["mean"].notna().all()
    said = (finished / "systems.txt").read_text().splitlines()
    # Jobs of the module find the library; those of other rules see what they always see.
    assert said == ["system", *table["system"], "PYTHONPATH=/their/own"]
    assert {path.name for path in finished.iterdir()} == {
        *("config.json", "Snakefile", "merging", "systems.txt", "started.txt", "succeeded.txt", ".snakemake"),
    }


def test_nothing_is_made_again_and_the_commands_work_below_the_prefix(finished):
    assert "Nothing to be done" in snakemake(finished)[1]
    assert "5 runs: 5 done" in call(finished / "merging", "graft", "status").stdout
    assert call(finished / "merging", "graft", "verify", "pico").returncode == 0


@pytest.mark.parametrize("name", ["study.html", "study.zip"])
def test_snakemakes_report_has_the_tables_and_figures(finished, name):
    status, said = snakemake(finished, "--report", name)
    assert status == 0, said[-3000:]
    if name.endswith(".zip"):
        with zipfile.ZipFile(finished / name) as archive:
            assert any("comparison" in file for file in archive.namelist())
    else:
        assert "comparison.csv" in (finished / name).read_text()
    (finished / name).unlink()


def test_a_failed_run_leaves_the_tables_of_the_others(values, tmp_path):
    folder = workflow(tmp_path / "own", values, f"{str(ROOT / 'Snakefile')!r}")
    # A file where a fine-tuning must put a folder.
    model = folder / "merging/results/pico/runs/rte/finetune.small/seed-0/model"
    model.parent.mkdir(parents=True)
    model.touch()
    status, said = snakemake(folder, "--keep-going")
    assert status != 0 and "in merging: `python -m graft status pico` says which runs failed" in said, said[-3000:]
    table = pd.read_csv(folder / "merging/results/pico/tables/comparison.csv")
    assert "finetune.large" in set(table["system"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("config: config['graft']", "config: {}"), "needs the config of a study"),
        (('prefix: "merging"', 'prefix: "its results"'), "cannot write its results to its results/results/pico"),
        (('prefix: "merging"', 'replace_prefix: {"results/": "made/"}'), "no `replace_prefix`"),
    ],
)
def test_what_a_module_cannot_do_is_one_sentence(values, tmp_path, change, says):
    folder = workflow(tmp_path / "own", values, f"{str(ROOT / 'Snakefile')!r}")
    text = (folder / "Snakefile").read_text().replace('"graft"', "'graft'")
    assert change[0] in text
    (folder / "Snakefile").write_text(text.replace(*change))
    status, said = snakemake(folder, "-n")
    assert status != 0 and says in said, said[-2000:]


@pytest.fixture
def hub(tmp_path) -> dict[str, str]:
    """Variables by which git finds a repository own/graft, with the tag v1, where it looks for GitHub."""
    repository = tmp_path / "hub/own/graft"
    repository.mkdir(parents=True)
    for name in ("Snakefile", "workflow", "rules", "report", "envs"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, repository / name)
    author = ["-c", "user.name=x", "-c", "user.email=x@y"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "all"], ["tag", "v1"]):
        subprocess.run(["git", "-C", str(repository), *command], check=True)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{tmp_path}/hub/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }


def test_rules_from_github_need_the_library_of_their_version(hub, values, tmp_path):
    # As Snakedeploy writes it.
    folder = workflow(tmp_path / "own", values, 'github("own/graft", path="workflow/Snakefile", tag="v1")')
    status, said = snakemake(folder, "-n", **hub)
    assert status != 0 and "pip install 'graft[workflow]'" in said, said[-2000:]
    status, said = snakemake(folder, "-n", **hub, PYTHONPATH=str(ROOT))
    assert status == 0 and "rule graft_finetune_model" in said, said[-3000:]
    other = tmp_path / "other"
    for name in ("graft", "rules", "workflow_scripts"):
        shutil.copytree(ROOT / name, other / name, ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "rules/merge.smk").open("a") as file:
        file.write("# newer\n")
    status, said = snakemake(folder, "-n", **hub, PYTHONPATH=str(other))
    assert status != 0 and "merge.smk of this module is of another version than the library" in said, said[-2000:]


def test_the_catalogs_own_study_runs_where_the_catalog_looks(tmp_path):
    """`workflow/Snakefile` in the folder .test, whose config/config.yaml is found without being named."""
    shutil.copytree(ROOT / ".test", tmp_path / ".test", ignore=shutil.ignore_patterns("results", ".snakemake"))
    arguments = ("--snakefile", str(ROOT / "workflow/Snakefile"), "--directory", str(tmp_path / ".test"))
    status, said = snakemake(tmp_path, *arguments, **environment())
    assert status == 0, said[-3000:]
    table = pd.read_csv(tmp_path / ".test/results/test/tables/comparison.csv")
    assert set(table["task"]) == {"sentiment"} and table["mean"].notna().all()
    status, said = snakemake(tmp_path, *arguments, "--report", "report.zip", **environment())
    assert status == 0 and (tmp_path / ".test/report.zip").is_file(), said[-3000:]
