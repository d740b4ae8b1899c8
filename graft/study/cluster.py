"""A study's jobs on a SLURM cluster: their state in the queue, and cleanup after a killed snakemake."""

import atexit
import base64
import getpass
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

# Set by profiles/slurm, since not every SLURM job was submitted by snakemake.
OURS = "GRAFT_CLUSTER"
_RUNNING = ".slurm_jobs"


@dataclass(frozen=True)
class Queued:
    """A job in the queue: its state, and the nodes it runs on or the reason it waits."""

    id: str
    state: str
    why: str

    @property
    def runs(self) -> bool:
        return self.state in ("RUNNING", "COMPLETING")

    def __str__(self) -> str:
        return f"job {self.id} {self.state.lower()} {self.why if self.why.startswith('(') else f'on {self.why}'}"


def register(root: Path) -> None:
    """Record in the study at `root` which log this SLURM job writes; removed when the process exits normally."""
    if os.environ.get(OURS) and (job := os.environ.get("SLURM_JOB_ID")):
        # SLURM knows a job of an array by both numbers, and snakemake by these.
        if array := os.environ.get("SLURM_ARRAY_JOB_ID"):
            job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
        mark = root / _RUNNING / job
        mark.parent.mkdir(exist_ok=True)
        mark.write_text(os.readlink("/proc/self/fd/2"))
        atexit.register(mark.unlink, missing_ok=True)


def submitted(root: Path) -> dict[Path, str]:
    """SLURM ids of the study's jobs, by the absolute path of the output they make or of the log they write.

    A waiting job is found through the marker that snakemake left for its output when submitting it. Snakemake
    overwrites the marker when the job starts; from then on the programs in it `register`. Some of these jobs may have
    left the queue already.
    """
    state, found = _snakemake(root), {}
    folder, marks = state.parent, state / "incomplete"
    for mark in marks.rglob("*"):
        try:
            # Snakemake splits long names into folders (persistence/file.py).
            name = "".join(part.removeprefix("@") for part in mark.relative_to(marks).parts)
            output = folder / base64.urlsafe_b64decode(name).decode()
            job = json.loads(mark.read_text())["external_jobid"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if job is not None and output.is_relative_to(root.absolute()):
            found[output] = str(job)
    for mark in (root / _RUNNING).glob("*"):
        with suppress(FileNotFoundError):  # its job ended just now
            found[Path(mark.read_text())] = mark.name
    return found


def queued(root: Path) -> dict[Path, Queued]:
    """The study's jobs in the queue, under the same keys as in `submitted`."""
    jobs = queue()
    return {path: jobs[job] for path, job in submitted(root).items() if job in jobs} if jobs else {}


def _snakemake(root: Path) -> Path:
    """The folder in which snakemake keeps what it knows about the study at `root`: .snakemake beside results/, or
    further up, where a module has a prefix."""
    folders = [folder / ".snakemake" for folder in root.absolute().parents[1:]]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def last_words(root: Path, rule: str, values: Sequence[str], group: str | None) -> tuple[Path, str] | None:
    """SLURM's last error message about a job of the study at `root`: path of its log, and the line; or None.

    `values`: of the rule's wildcards; `group`: name of the group that it is submitted in.
    """
    logs = _snakemake(root) / "slurm_logs"
    patterns = (f"rule_{rule}/{'_'.join(values)}/*.log", f"group_{group}_*/*.log")
    found = max((log for p in patterns for log in logs.glob(p)), key=lambda log: log.stat().st_mtime, default=None)
    if found is None:
        return None
    lines = found.read_text(errors="replace").splitlines()
    said = next((line for line in reversed(lines) if line.startswith(("slurmstepd:", "srun: error:"))), None)
    return (found, said) if said else None


def queue() -> dict[str, Queued]:
    """This user's waiting and running jobs by id; empty if SLURM is absent or does not answer."""
    if shutil.which("squeue") is None:
        return {}
    printed = subprocess.run(
        ["squeue", "--me", "--noheader", "--array", "--format=%i|%T|%R"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ).stdout
    return {
        job.id: job for job in (Queued(*line.split("|", 2)) for line in printed.splitlines() if line.count("|") > 1)
    }


def partitions_in(settings: Any) -> set[str]:
    """Names of the partitions in the file that the executor's settings name, or SNAKEMAKE_SLURM_PARTITIONS, if any."""
    path = getattr(settings, "partition_config", None) or os.environ.get("SNAKEMAKE_SLURM_PARTITIONS")
    return set(yaml.safe_load(Path(path).read_text())["partitions"]) if path else set()


def refuse_unknown(accounts: set[str], partitions: set[str]) -> None:
    """Raise ValueError for an account that this user may not charge, or a partition that the cluster does not have.

    SLURM rejects jobs that ask for one, and snakemake may then wait forever. A cluster without accounting accepts any
    account.
    """
    own = ("sacctmgr", "--noheader", "--parsable2", "list", "associations", f"user={getpass.getuser()}")
    for kind, asked, command in (
        # SLURM stores account names in lower case and accepts any case.
        ("account", {account.lower() for account in accounts}, (*own, "format=account")),
        ("partition", partitions, ("sinfo", "--all", "--noheader", "--format=%R")),
    ):
        known = _told(*command) if asked and shutil.which(command[0]) else set()
        if known and (unknown := asked - known):
            raise ValueError(f"no {kind} {min(unknown)!r} here: SLURM gives {', '.join(sorted(known))}")


def _told(*command: str) -> set[str]:
    """Run a command; returns the words of its output, none if it fails."""
    return set(subprocess.run(command, capture_output=True, text=True).stdout.split())


def cancel_orphans(root: Path, what: str, poll_seconds: float = 1.0) -> None:
    """Cancel the study's jobs that an earlier snakemake left in the queue, and wait until they are gone."""
    if left := sorted({job.id for job in queued(root).values()}, key=lambda job: [*map(int, job.split("_"))]):
        print(f"{what}: cancelling jobs of an earlier run: {' '.join(left)}", file=sys.stderr, flush=True)
        subprocess.run(["scancel", *left])  # fails, harmlessly, if one has just ended
    while queue().keys() & set(left):
        time.sleep(poll_seconds)
    shutil.rmtree(root / _RUNNING, ignore_errors=True)
