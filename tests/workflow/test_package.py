"""The package that `pip install` makes: a study from the wheel alone, in an empty folder."""

import json
import os
import re
import shutil
import site
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from graft.encoders.models import new_classifier
from graft.encoders.saving import save_model
from tests.conftest import sentiment_rows, study_values, write_tsv
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


def install(wheel: Path, folder: Path, packages: str) -> Path:
    """The bin folder of a new environment with the wheel, which sees other packages in the folders `packages` too."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (own,) = folder.glob("lib/python*/site-packages")
    (own / "others.pth").write_text(packages)
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True)
    return folder / "bin"


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    return install(wheel, tmp_path_factory.mktemp("installed") / "venv", "\n".join(site.getsitepackages()))


@pytest.fixture(scope="module")
def plain(wheel, tmp_path_factory) -> Path:
    """The wheel with this environment's packages but those that its extras alone bring."""
    folder, extras = tmp_path_factory.mktemp("plain"), tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [re.match(r"[\w.-]+", name)[0] for names in extras["optional-dependencies"].values() for name in names]
    without = {name.replace("-", "_").lower() for name in named}
    (folder / "packages").mkdir()
    for path in (path for packages in site.getsitepackages() for path in Path(packages).iterdir()):
        if path.suffix != ".pth" and path.name.split("-")[0].lower() not in without:
            (folder / "packages" / path.name).symlink_to(path)
    return install(wheel, folder / "venv", str(folder / "packages"))


def graft(installed: Path, folder: Path, *arguments: str, status: int = 0) -> str:
    """What the installed command prints, called in a folder."""
    given = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    given["COLUMNS"] = "300"  # so that no path in a help is cut
    command = [installed / "graft", *arguments]
    done = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == status, (done.stdout + done.stderr)[-3000:]
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
    system = ("pico", "rte", "merge.logit_ensemble", "0")
    graft(installed, tmp_path, "build", *system)
    assert "mine stands alone" in graft(installed, tmp_path, "export", *system, "mine")
    (tmp_path / "texts.txt").write_text("a man sees a dog\ta man sees a woman\n")
    assert "entailment\t" in graft(installed, tmp_path, "predict", "mine", "--text", "texts.txt")
    assert "5 runs: 5 done" in graft(installed, tmp_path, "status")
    assert "Nothing to be done" in graft(installed, tmp_path, "run", "mine.json")
    # The clone finds it finished as well.
    assert "Nothing to be done" in call(tmp_path, "graft", "run", "mine.json", "-n").stdout


def test_the_help_says_the_command_that_is_there(installed, tmp_path):
    assert "Usage: graft run" in graft(installed, tmp_path, "run", "--help")
    assert f"{installed.parent}" in graft(installed, tmp_path, "run", "--help")
    assert "Usage: python -m graft run" in call(tmp_path, "graft", "run", "--help").stdout


def test_the_configs_and_profiles_that_come_with_it_have_names(installed, tmp_path):
    assert "finetune_model" in graft(installed, tmp_path, "run", "demo", "-n")
    said = graft(installed, tmp_path, "run", "demo", "-n", "--profile", "slurm")
    assert "_workflow/profiles/slurm" in said


def test_merging_and_asking_need_no_extra_and_tell_nothing_else(plain, pico_models, tmp_path):
    for name in ("large", "small"):
        shutil.copytree(pico_models / name, tmp_path / name)
    shutil.copytree(pico_models / "small", tmp_path / "tuned")
    save_model(new_classifier(pico_models / "small", ("negative", "positive"), 0), tmp_path / "tuned")
    rows = sentiment_rows(np.random.default_rng(0), 200)
    (tmp_path / "texts.txt").write_text("\n".join(text for text, _ in rows))
    write_tsv(tmp_path / "labelled.tsv", ["text", "label"], rows)
    models = ["--large", "large", "--small-finetuned", "tuned", "--small-pretrained", "small", "--text", "texts.txt"]
    for method, labelled in (("spacewise", []), ("stitch", ["--labelled", "labelled.tsv"])):
        said = graft(plain, tmp_path, "merge", "--method", method, *models, *labelled, "--out", method)
        assert f"the merged model is in {method}" in said and "WARNING" not in said
        answers = graft(plain, tmp_path, "predict", method, "--text", "texts.txt").splitlines()
        assert answers[0] == "label\tscore" and len(answers) == 1 + len(rows)
    assert "spacewise" in graft(plain, tmp_path, "methods")
    assert "pip install 'graft[workflow]'" in graft(plain, tmp_path, "run", "demo", status=1)


def test_help_takes_less_than_a_second(installed, tmp_path):
    graft(installed, tmp_path, "merge", "--help")
    before = os.times()
    graft(installed, tmp_path, "merge", "--help")
    after = os.times()
    # Of CPU time, which other processes do not change.
    assert after.children_user + after.children_system - before.children_user - before.children_system < 1
