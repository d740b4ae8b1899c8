import os
import shutil
import subprocess
import sys
from pathlib import Path

from graft.compute import provenance
from graft.config.launch import Launch

ROOT = Path(__file__).parents[3]


def version(root):
    """The version that the code in `root` says it has, in a process of its own."""
    code = "from graft.compute import provenance; print(provenance.code_version())"
    env = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run([sys.executable, "-c", code], cwd=root, env=env, capture_output=True, text=True).stdout


def test_the_version_follows_every_edit_of_code_that_runs_and_nothing_else(tmp_path):
    for name in ("graft", "workflow_scripts"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    found = [version(tmp_path)]
    assert found[0].startswith("0.1.0+") and len(found[0].strip()) == len("0.1.0+") + 12
    (tmp_path / "graft" / "notes.txt").write_text("no code")
    assert version(tmp_path) == found[0]
    for file in ("graft/merging/moments.py", "workflow_scripts/evaluate.py"):
        with (tmp_path / file).open("a") as code:
            code.write("# edited\n")
        found.append(version(tmp_path))
    assert len(set(found)) == 3


def test_where_and_with_what_a_step_is_computed(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    found = provenance.of_making(Launch(device="cpu", precision="fp32", threads=3))
    told = {name: found[name] for name in ("device", "precision", "threads", "slurm_job_id", "code_version")}
    assert told == {
        "device": "cpu",
        "precision": "fp32",
        "threads": 3,
        "slurm_job_id": "17",
        "code_version": provenance.code_version(),
    }
    assert found["packages"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {*provenance.PACKAGES} < found["packages"].keys() and found["hardware"]["cpu"]


def test_the_commit_is_the_clones_own_and_none_where_there_is_no_clone(tmp_path, monkeypatch):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", tmp_path]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "one"], check=True)
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert len(provenance.commit()) == 40
    # An installed package may be inside somebody's repository.
    (tmp_path / "package").mkdir()
    monkeypatch.setattr(provenance, "ROOT", tmp_path / "package")
    assert provenance.commit() is None
