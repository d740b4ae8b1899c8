"""A separate SLURM for these tests; if none can be started they are skipped, and say why."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import study_values
from tests.slurm.cluster import Cluster, why_not

ROOT = Path(__file__).parents[2]
# Records what sbatch is called with, and calls it.
SBATCH = """#!/bin/sh
printf '%s\\n' "$*" >> {log}
exec {sbatch} "$@"
"""


@pytest.fixture(scope="session")
def cluster():
    if reason := why_not():
        pytest.skip(reason)
    # munged wants every folder above its socket closed to others, and sockets have short names.
    root = Path("/tmp") / f"graft-slurm-{os.getpid()}"
    with Cluster(root) as started:
        yield started
    shutil.rmtree(root)


class Study:
    """A pico study in a new folder, run by `snakemake --profile slurm` on the cluster."""

    def __init__(self, folder: Path, values: dict) -> None:
        self.folder, self.config = folder, folder / "config.json"
        folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(json.dumps(values))
        self.calls = folder / "sbatch.txt"
        self._bin = folder / "bin"
        self._bin.mkdir(exist_ok=True)
        wrapper = self._bin / "sbatch"
        wrapper.write_text(SBATCH.format(log=self.calls, sbatch=shutil.which("sbatch")))
        wrapper.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{self._bin}{os.pathsep}{os.environ['PATH']}"}

    @property
    def results(self) -> Path:
        return self.folder / "results" / "pico"

    def start(self, *arguments: str, profile: str = "slurm") -> subprocess.Popen:
        """By a profile of this repository, or a copy of one, that has its name."""
        name = Path(profile).name
        quick = ["--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "20"] if name == "slurm" else []
        command = [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")),
            *("--profile", str(ROOT / "profiles" / profile), "--directory", str(self.folder)),
            *("--configfile", str(self.config), *quick, *arguments),
        ]
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=ROOT,
                start_new_session=True,
            )

    def run(self, *arguments: str, profile: str = "slurm", well: bool = True) -> str:
        """The output."""
        return self.finish(self.start(*arguments, profile=profile), profile, well)

    def finish(self, process: subprocess.Popen, profile: str = "slurm", well: bool = True) -> str:
        try:
            status = process.wait(600)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        said = (self.folder / f"{Path(profile).name}.log").read_text()
        assert (status == 0) == well, said[-6000:]
        return said

    def step(self, system: str, seed: int) -> int:
        """Of a fine-tuning, as its log tells so far."""
        log = self.results / "runs/sst2" / system / f"seed-{seed}/training.jsonl"
        lines = log.read_text().splitlines() if log.is_file() else []
        return next((step for line in reversed(lines) if (step := json.loads(line).get("step"))), 0)

    def status(self) -> str:
        """The output of `graft status`."""
        command = [sys.executable, "-m", "graft", "status", "pico"]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    def log(self, rule: str, system: str, seed: int) -> str:
        return (self.results / f"logs/{rule}/sst2/{system}/seed-{seed}.log").read_text()


@pytest.fixture(scope="session")
def values(pico_glue, pico_models):
    """Of a study that fine-tunes the large model, in some seconds, and no more."""

    def make(seeds: int, epochs: int = 2, **changes) -> dict:
        launch = {
            "device": "cpu",
            "precision": "fp32",
            "gpus": 1,
            "checkpoint_minutes": 0.005,
            **changes.pop("launch", {}),
        }
        include = ["sst2/finetune.large/*", "sst2/majority/*"]
        made = study_values(
            pico_glue, pico_models, seeds=seeds, include=include, launch=launch, cost={"measure": False}, **changes
        )
        made["models"]["large"]["finetune"]["sst2"]["epochs"] = epochs
        return made

    return make


def until(holds, what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not seen in {seconds} s: {what}"
        time.sleep(0.1)
