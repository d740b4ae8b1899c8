import importlib.util
import os
import sys
from pathlib import Path

import pytest

from graft.cli import running
from graft.io.workflow import ROOT


def test_own_files_come_before_those_of_graft(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert running.config_file("demo") == ROOT / "config" / "demo.yaml"
    assert running.profile_folder("slurm") == ROOT / "profiles" / "slurm"
    for file in ("config/demo.yaml", "profiles/slurm/config.yaml"):
        Path(file).parent.mkdir(parents=True)
        Path(file).touch()
    assert running.config_file("demo") == Path("config/demo.yaml") == running.config_file("config/demo.yaml")
    assert running.profile_folder("slurm") == Path("profiles/slurm") == running.profile_folder("profiles/slurm")


def test_what_is_not_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    with pytest.raises(ValueError, match="nix is not a study's YAML, nor the name of one in config/ or .*/config/"):
        running.config_file("nix")
    with pytest.raises(ValueError, match="--profile empty is not a profile's folder"):
        running.profile_folder("empty")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'graft\[workflow\]'"):
        running.run("demo", "local")


def test_all_else_is_snakemakes(monkeypatch):
    called = []
    monkeypatch.setattr(os, "execv", lambda path, command: called.append(command))
    running.run("demo", "local", ["-n", "--cores", "3"])
    (command,) = called
    assert command[:3] == [sys.executable, "-m", "snakemake"] and command[-3:] == ["-n", "--cores", "3"]
