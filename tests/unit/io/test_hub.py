"""Models by name, from a local stand-in for the hub."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from graft.io import hub
from tests.unit.hub import HEAD, serving

ROOT = Path(__file__).parents[3]
CODE = """
import sys
from graft.io import hub
try:
    print(hub.local(sys.argv[1], "--large"))
except ValueError as error:
    print(error)
"""


@pytest.fixture
def ask(tmp_path, pico_models):
    """The answer to a name, in a process of its own, since the hub's address is read on import."""
    for name, weights in (("safe", "model.safetensors"), ("pickled", "pytorch_model.bin")):
        folder = shutil.copytree(pico_models / "small", tmp_path / "hub/models/owner" / name)
        (folder / "model.safetensors").rename(folder / weights)
    (tmp_path / "hub/models/owner/safe/pytorch_model.bin").write_text("the same again")
    (tmp_path / "here").mkdir()

    def asked(name, **environment):
        with serving(tmp_path / "hub") as endpoint:
            given = {**os.environ, "PYTHONPATH": str(ROOT), "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "cache")}
            command = [sys.executable, "-c", CODE, name]
            done = subprocess.run(
                command, cwd=tmp_path / "here", env=given | environment, capture_output=True, text=True
            )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return asked


@pytest.mark.parametrize(
    ("name", "weights"), [("owner/safe", "model.safetensors"), ("owner/pickled@main", "pytorch_model.bin")]
)
def test_a_name_is_fetched_once_with_one_kind_of_weights(ask, name, weights, pico_models):
    folder = Path(ask(name))
    assert (
        folder.name == HEAD
        and (folder / weights).read_bytes() == (pico_models / "small/model.safetensors").read_bytes()
    )
    assert not [path for path in folder.glob("*model*") if path.name != weights]
    assert ask(name, HF_HUB_OFFLINE="1") == str(folder)


def test_what_the_hub_does_not_have_is_refused_in_one_line(ask):
    for name in ("owner/none", "owner/safe@nowhere"):
        said = ask(name, HF_HUB_OFFLINE=str(int("@" in name)))
        assert said.startswith(f"--large: {name} is not a folder, and the hub does not give it: ")
        assert len(said.splitlines()) == 1


def test_folders_stay_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("owner").mkdir()
    for name in ("owner/missing", "missing", "/abso/lute", str(tmp_path)):
        assert hub.local(name) == Path(name)
    assert hub.local("~/model") == Path.home() / "model"
