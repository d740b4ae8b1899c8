"""`--sdm apptainer`: all jobs in the Python of an image, with the library of this checkout.

No image is built here: a stand-in for Apptainer starts what it is given with another Python first on PATH, and tells
what it was called with.
"""

import json
import os
import re
import sys
from pathlib import Path

import pytest

from tests.conftest import study_values
from tests.workflow.conftest import ROOT, snakemake

APPTAINER = """#!/bin/bash
[ "$1" = --version ] && { echo apptainer version 1.3.4; exit; }
[ "$1" = exec ] || { echo "apptainer $*: not known here" >&2; exit 1; }
shift
echo "$*" >> 'HERE/calls'
echo "$APPTAINER_BINDPATH" >> 'HERE/bound'
while [[ $1 == --* ]]; do
    case $1 in --nv) shift ;; *) shift 2 ;; esac
done
[ -e "$1" ] || { echo "$1: no such image" >&2; exit 255; }
shift
export PATH=HERE/image:$PATH
exec "$@"
"""
PYTHON = """#!/bin/sh
echo "$2 ${PYTHONNOUSERSITE:-0} $PYTHONPATH" >> 'HERE/marks'
exec '{python}' "$@"
"""


@pytest.fixture(scope="module")
def config(pico_glue, pico_models, tmp_path_factory) -> Path:
    values = study_values(pico_glue, pico_models, seeds=[0], include=["rte/*"], cost={"measure": False})
    values["systems"] = {"probe": {"pooling": ["mean"]}, "merge": {"logit_ensemble": {}}}
    path = tmp_path_factory.mktemp("config") / "study.json"
    path.write_text(json.dumps(values))
    return path


@pytest.fixture
def apptainer(tmp_path, monkeypatch) -> Path:
    """A folder on PATH with the stand-in."""
    folder = tmp_path / "apptainer"
    (folder / "image").mkdir(parents=True)
    for path, text in (("apptainer", APPTAINER), ("image/python", PYTHON.replace("{python}", sys.executable))):
        (folder / path).write_text(text.replace("HERE", str(folder)))
        (folder / path).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_every_job_runs_in_the_image_with_this_checkouts_library(apptainer, config, tmp_path, monkeypatch):
    (tmp_path / "graft.sif").touch()
    monkeypatch.setenv("GRAFT_IMAGE", str(tmp_path / "graft.sif"))
    done = snakemake(tmp_path, config, "--software-deployment-method", "apptainer")
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / "results/pico/tables/comparison.csv").is_file()
    programs = [line.split() for line in (apptainer / "marks").read_text().splitlines()]
    ran = {module.removeprefix("workflow_scripts.") for module, _, _ in programs}
    assert {"download_task", "finetune_model", "make_systems", "compare", "report"} <= ran
    assert {(site, path) for _, site, path in programs} == {("1", str(ROOT))}
    assert len(programs) == len((apptainer / "calls").read_text().splitlines())
    assert {*(apptainer / "bound").read_text().split()} == {f"{ROOT}/graft,{ROOT}/workflow_scripts"}


@pytest.mark.parametrize(
    ("image", "methods", "says"),
    [
        (None, ["apptainer"], "GRAFT_IMAGE in the environment, or `image` in profiles/slurm, names an image"),
        ("nowhere.sif", ["apptainer"], "nowhere.sif: no such image"),
        ("graft.sif", ["apptainer", "conda"], "in containers or in conda environments, not both"),
    ],
)
def test_containers_that_cannot_be_are_refused_before_any_job(
    apptainer, config, tmp_path, monkeypatch, image, methods, says
):
    (tmp_path / "graft.sif").touch()
    monkeypatch.delenv("GRAFT_IMAGE", raising=False)
    if image:
        monkeypatch.setenv("GRAFT_IMAGE", image)
    done = snakemake(tmp_path, config, "-n", "--software-deployment-method", *methods)
    assert done.returncode != 0 and says in done.stdout, done.stdout[-2000:]
    assert not (tmp_path / "results").exists()


def test_both_recipes_are_made_from_the_pins_and_what_the_package_is_made_of():
    docker, definition = (ROOT / "Dockerfile").read_text(), (ROOT / "apptainer.def").read_text()
    for recipe in (docker, definition):
        assert "--requirement /opt/graft/requirements.txt" in recipe and "--no-deps /opt/graft" in recipe
    images = {re.search(r"^from:? (\S+)", recipe, re.MULTILINE | re.IGNORECASE)[1] for recipe in (docker, definition)}
    assert len(images) == 1
    copied = {name for line in re.findall(r"^    (.+) /opt/graft/$", definition, re.MULTILINE) for name in line.split()}
    packed = re.findall(r'^"([^"]+)" = "graft/_workflow/', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert {*packed, "graft", "requirements.txt", "pyproject.toml", "README.md", "LICENSE", "NOTICE"} == copied
    assert all((ROOT / name).exists() for name in copied)
