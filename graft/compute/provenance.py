"""Where a number came from: code, packages, hardware."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import platform
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import graft
from graft.compute.hardware import device_of, precision_of
from graft.io.workflow import ROOT

if TYPE_CHECKING:
    # It imports pydantic; a merge without a study starts faster without it.
    from graft.config.launch import Launch

PACKAGES = tuple("torch transformers tokenizers datasets accelerate evaluate numpy scipy safetensors".split())


@functools.cache
def code_version() -> str:
    """Return Graft's version and a hash of its source, which needs no git and follows edits."""
    digest = hashlib.sha256()
    # Named as in the clone, so that an installed package has the same version.
    library, programs = Path(graft.__file__).parent, ROOT / "workflow_scripts"
    files = {file.relative_to(library.parent): file for file in library.rglob("*.py") if programs not in file.parents}
    files |= {file.relative_to(ROOT): file for file in programs.glob("*.py")}
    for name, file in sorted(files.items()):
        digest.update(str(name).encode())
        digest.update(file.read_bytes())
    return f"{graft.__version__}+{digest.hexdigest()[:12]}"


def commit() -> str | None:
    """Return the commit that this clone has checked out; None for an installed package, or without git."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        return None
    return (
        subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip() or None
    )


def packages() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change a result, some of which merges do without."""
    found = {name: [one.version for one in importlib.metadata.distributions(name=name)] for name in PACKAGES}
    return {name: versions[0] for name, versions in found.items() if versions} | {"python": platform.python_version()}


def hardware() -> dict[str, Any]:
    """Return the processor, number of cores and GPU of this host."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"cpu": _cpu(), "cores": os.cpu_count(), "gpu": gpu}


def of_making(launch: Launch) -> dict[str, Any]:
    """Return where and with what the calling process computes a step."""
    return {
        "code_version": code_version(),
        "packages": packages(),
        "device": device_of(launch),
        "precision": precision_of(launch),
        "threads": launch.threads,
        "hardware": hardware(),
        "host": socket.gethostname(),
        "slurm_job_id": os.environ.get("SLURM_JOB_ID"),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
