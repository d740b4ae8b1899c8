"""Which Python runs what: the one that runs snakemake, or that of a job's conda environment (envs/)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from shlex import quote


def prefix(root: Path, environments: Path | None) -> str:
    """What stands before every job's command, as `shell.prefix` takes it: programs find graft, which is in `root`, and
    run in a conda environment of the folder `environments`, or refuse to; where it is None, in this very Python."""
    steps = ["set -euo pipefail", f"export PYTHONPATH={quote(str(root))}"]
    if environments is None:
        steps.append(f"export PATH={quote(str(Path(sys.executable).parent))}:$PATH")
    else:
        # What a user once installed beside all Pythons would come before the environment's pins.
        steps += ["export PYTHONNOUSERSITE=1", _guard(environments)]
    # Snakemake formats it.
    return "; ".join(steps).replace("{", "{{").replace("}", "}}") + "; "


def _guard(environments: Path) -> str:
    """Bash that ends a job whose `python` is not its environment's: Snakemake calls `source activate ENVIRONMENT;`, and
    where that fails, what follows would run in whatever Python PATH has."""
    refusal = (
        f"conda did not activate the environment of this job in {environments}; "
        "call snakemake where `conda activate` works, or run without conda (`conda: false` in profiles/slurm); "
        "python would be "
    )
    return (
        f'[[ ${{CONDA_PREFIX:-}} == {quote(str(environments))}/* && $(type -P python) == "$CONDA_PREFIX"/bin/python ]]'
        f' || {{ echo {quote(refusal)}"$(type -P python)" >&2; exit 1; }}'
    )


def run_here(root: Path, *module: str) -> int:
    """Exit status of `python -m MODULE ARGUMENT ...` in this very Python, whatever PATH has."""
    return subprocess.run([sys.executable, "-m", *module], env={**os.environ, "PYTHONPATH": str(root)}).returncode
