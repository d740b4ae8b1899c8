"""What stands before a job's command decides which Python runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from graft.study import deployment


@pytest.fixture
def environment(tmp_path):
    """A conda environment in a folder with hard characters, whose Python tells its name and what it is told."""
    return make(tmp_path / "con da{0}'s" / "abc_")


def make(folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.write_text(f'#!/bin/sh\necho {folder.name} "${{PYTHONNOUSERSITE:-}}" "$PYTHONPATH"')
    python.chmod(0o755)
    return folder


def run(environments: Path | None, active: Path | None, first: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`python` as a job would call it, with one environment active, and another's Python first on PATH."""
    path = [str(folder / "bin") for folder in (first, active) if folder]
    variables = {"PATH": os.pathsep.join([*path, os.environ["PATH"]])}
    variables |= {"CONDA_PREFIX": str(active)} if active else {}
    # As Snakemake does with it.
    command = deployment.prefix(Path("/root of {graft}"), environments).format() + "python --version"
    return subprocess.run(["bash", "-c", command], env=variables, capture_output=True, text=True)


def test_a_job_runs_in_the_active_environment_of_this_folder(environment):
    done = run(environment.parent, environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "abc_ 1 /root of {graft}\n", "")


def test_a_job_is_refused_in_any_other_python(environment, tmp_path):
    others = make(tmp_path / "somebody" / "base")
    for active, first in ((None, None), (others, None), (environment, others)):
        done = run(environment.parent, active, first)
        assert (done.returncode, done.stdout) == (1, ""), (active, first)
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"conda did not activate the environment of this job in {environment.parent}; call")
        assert line.endswith(f"python would be {first or active}/bin/python") or not active


def test_without_conda_a_job_runs_in_this_very_python_and_sees_what_it_sees(environment, monkeypatch):
    done = run(None, environment, environment)
    assert done.returncode == 0 and done.stdout == f"Python {sys.version.split()[0]}\n"
    assert "PYTHONNOUSERSITE" not in deployment.prefix(Path("/x"), None)


def test_in_a_container_a_job_runs_in_the_python_that_is_there(environment):
    command = deployment.prefix(Path("/root of graft"), None, contained=True).format() + "python --version"
    path = f"{environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["bash", "-c", command], env={"PATH": path}, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "abc_ 1 /root of graft\n", "")


def test_containers_see_folders_beside_those_that_they_see_already(monkeypatch):
    monkeypatch.setenv("APPTAINER_BINDPATH", "/data,/a")
    for _ in range(2):
        deployment.bind([Path("/a"), Path("/b")])
    assert os.environ["APPTAINER_BINDPATH"] == "/data,/a,/b"


@pytest.mark.parametrize(("names", "status"), [("cuda/12 gcc", 0), ("nowhere", 1)])
def test_environment_modules_are_loaded_first_or_the_job_fails(names, status):
    """`module` as a shell's function; like the real ones, it reads variables that are not set."""
    module = 'module() { echo "$@" "$NOT_SET"; [ "$2" != nowhere ]; }; '
    command = module + deployment.prefix(Path("/x"), None, modules=names).format() + "echo began"
    done = subprocess.run(["bash", "-c", command], env={"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert done.returncode == status
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines == ["purge", f"load {names}", *([] if status else ["began"])]


def test_a_module_runs_in_this_very_python_whatever_the_path_has(tmp_path, monkeypatch):
    (tmp_path / "one.py").write_text("import sys; sys.exit(int(sys.argv[1]))")
    monkeypatch.setenv("PATH", "")
    assert deployment.run_here(tmp_path, "one", "3") == 3
