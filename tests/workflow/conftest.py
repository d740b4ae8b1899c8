"""Real snakemake runs over pico GLUE and pico BERTs, each in a new folder."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[[dict], Path]:
    def write(values: dict) -> Path:
        path = tmp_path / "study.json"
        path.write_text(json.dumps(values))
        return path

    return write
