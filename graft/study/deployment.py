"""Choose the Python that runs a job: the one that runs snakemake, or that of its conda environment or container."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

# Environment variable of a module's jobs: the prefix of their shell commands.
BEFORE = "GRAFT_BEFORE"
_BOUND = "APPTAINER_BINDPATH"


def bind(folders: Sequence[Path]) -> None:
    """Let Apptainer's containers see folders, beside the one in which Snakemake runs."""
    bound = [path for path in os.environ.get(_BOUND, "").split(",") if path]
    os.environ[_BOUND] = ",".join(dict.fromkeys([*bound, *map(str, folders)]))


def prefix(root: Path, environments: Path | None, contained: bool = False, modules: str = "") -> str:
    """Prefix of every job's shell command, for Snakemake's `shell.prefix`, that makes graft in `root` importable.

    Jobs run in a conda environment of the folder `environments` and fail outside one; if it is None, in the Python of
    their container, if they are `contained`, else in this one. `modules`: names of the site's environment modules that
    are loaded first; a job fails if one of them cannot be.
    """
    steps = ["set -euo pipefail", f"export PYTHONPATH={quote(str(root))}"]
    if modules:
        # Their own functions use variables that may be unset.
        load = f"module load {' '.join(map(quote, modules.split()))}"
        steps = ["set -eo pipefail", "module purge", load, *steps]
    if environments is None and not contained:
        steps.append(f"export PATH={quote(str(Path(sys.executable).parent))}:$PATH")
    else:
        # Packages in the user's site directory would take precedence over the environment's pins.
        steps.append("export PYTHONNOUSERSITE=1")
    if environments is not None:
        steps.append(_guard(environments))
    # Snakemake formats the prefix, so braces are escaped.
    return "; ".join(steps).replace("{", "{{").replace("}", "}}") + "; "


def _guard(environments: Path) -> str:
    """Bash that ends a job whose `python` is not that of its environment.

    Snakemake calls `source activate ENVIRONMENT;`, and if that fails, the job would run with any Python on PATH.
    """
    refusal = (
        f"conda did not activate the environment of this job in {environments}; "
        "call snakemake where `conda activate` works, or run without conda (`conda: false` in profiles/slurm); "
        "python would be "
    )
    return (
        f'[[ ${{CONDA_PREFIX:-}} == {quote(str(environments))}/* && $(type -P python) == "$CONDA_PREFIX"/bin/python ]]'
        f' || {{ echo {quote(refusal)}"$(type -P python)" >&2; exit 1; }}'
    )


def run_here(root: Path, *module: str, folder: Path = Path()) -> int:
    """Run `python -m MODULE ARGUMENT ...` in a folder with this Python, whatever PATH has; returns its exit status."""
    variables = {**os.environ, "PYTHONPATH": str(root)}
    return subprocess.run([sys.executable, "-m", *module], env=variables, cwd=folder).returncode
