"""The package that `pip install` makes: a study from the wheel alone, in an empty folder."""

import json
import os
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import study_values
from tests.workflow.conftest import ROOT, call

# Below these, all files of the clone are in the wheel.
SHIPPED = "graft", "Snakefile", "config.yaml", "config", "envs", "profiles", "report", "rules", "workflow_scripts"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("graft-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The bin folder of a new environment with the wheel, which sees this environment's packages too."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text("\n".join(site.getsitepackages()))
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(folder / "bin" / "python"),
        "install",
        "--quiet",
        "--no-deps",
    ]
    subprocess.run([*install, "--no-index", str(wheel)], check=True)
    return folder / "bin"


def graft(installed: Path, folder: Path, *arguments: str) -> str:
    """What the installed command prints, called in a folder."""
    given = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [installed / "graft", *arguments],
        cwd=folder,
        env=given,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


def test_the_wheel_has_all_that_a_study_needs(wheel):
    listed = subprocess.run(["git", "ls-files", *SHIPPED], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = {name if name.startswith("graft/") else f"graft/_workflow/{name}" for name in listed.split()}
    with zipfile.ZipFile(wheel) as archive:
        assert names == {name for name in archive.namelist() if name.startswith("graft/")}


def test_a_study_needs_no_clone(installed, pico_glue, pico_models, tmp_path):
    values = study_values(pico_glue, pico_models, seeds=[0], include=["rte/*"])
    values["systems"] = {"probe": {"pooling": ["mean"]}, "merge": {"logit_ensemble": {}}}
    values["cost"] = {"measure": False}
    (tmp_path / "mine.json").write_text(json.dumps(values))
    assert "finetune_model" in graft(installed, tmp_path, "run", "mine.json", "-n")
    assert not (tmp_path / "results").exists()
    graft(installed, tmp_path, "run", "mine.json", "--cores", "2")
    record = json.loads((tmp_path / "results/pico/runs/rte/finetune.large/seed-0/run.json").read_text())
    code = "from graft.compute import provenance; print(provenance.code_version())"
    here = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    assert record["provenance"]["code_version"] == here, "the same code has another version in the clone"
    table = pd.read_csv(tmp_path / "results/pico/tables/comparison.csv")
    assert table["mean"].notna().all() and (tmp_path / "results/pico/report.html").is_file()
    assert "5 runs: 5 done" in graft(installed, tmp_path, "status")
    assert "Nothing to be done" in graft(installed, tmp_path, "run", "mine.json")
    # The clone finds it finished as well.
    assert "Nothing to be done" in call(tmp_path, "graft", "run", "mine.json", "-n").stdout


def test_the_help_says_the_command_that_is_there(installed, tmp_path):
    assert "Usage: graft run" in graft(installed, tmp_path, "run", "--help")
    assert f"{installed.parent}" in "".join(graft(installed, tmp_path, "run", "--help").split())
    assert "Usage: python -m graft run" in call(tmp_path, "graft", "run", "--help").stdout


def test_the_configs_and_profiles_that_come_with_it_have_names(installed, tmp_path):
    assert "finetune_model" in graft(installed, tmp_path, "run", "demo", "-n")
    said = graft(installed, tmp_path, "run", "demo", "-n", "--profile", "slurm")
    assert "_workflow/profiles/slurm" in said
