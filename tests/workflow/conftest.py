"""Real snakemake runs over pico GLUE and pico BERTs, each in a new folder."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from graft.config.study import parse
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.step import Step

ROOT = Path(__file__).parents[2]


def command(folder: Path, config: Path | None, *arguments: str) -> list[str]:
    given = ["--configfile", str(config)] if config else []
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
        *("--profile", str(ROOT / "profiles" / "local"), "--directory", str(folder), "--cores", "2"),
        *given,
        *arguments,
    ]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def snakemake(folder: Path, config: Path | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run to the end; stdout and stderr together, as a user sees them."""
    done = subprocess.run(
        command(folder, config, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        stdin=subprocess.DEVNULL,
    )
    done.folder = folder
    return done


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module with arguments."""
    return subprocess.run(
        [sys.executable, "-m", *arguments], cwd=folder, env=environment(), capture_output=True, text=True
    )


def copied(folder: Path, to: Path) -> Path:
    """A copy, with all times, of a finished study's folder, which a test may change."""
    return Path(shutil.copytree(folder, to, symlinks=True))


def made_since(moment: float, values: dict, folder: Path) -> set[Step]:
    """The steps of a study that were done since: by their outputs, or by their logs if these do not stay."""
    paths = Paths(folder / "results" / values["name"])
    times = {step: _time(step.log(paths) if step.temporary else step.output(paths)) for step in _steps(values)}
    return {step for step, made in times.items() if made > moment}


def _steps(values: dict) -> list[Step]:
    return graph.of_study(Grid(parse(values)))


def _time(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[[dict], Path]:
    def write(values: dict) -> Path:
        path = tmp_path / "study.json"
        path.write_text(json.dumps(values))
        return path

    return write
