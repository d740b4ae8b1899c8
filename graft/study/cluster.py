"""A study's jobs in a SLURM cluster: what its queue says of them, and those that a killed snakemake left there."""

from __future__ import annotations

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

# Set by profiles/slurm: not every job of SLURM is of a snakemake that submits them.
OURS = "GRAFT_CLUSTER"
_RUNNING = ".slurm_jobs"


@dataclass(frozen=True)
class Queued:
    """A job in the queue: its state, and the nodes it has or the reason why it waits."""

    id: str
    state: str
    why: str

    @property
    def runs(self) -> bool:
        return self.state in ("RUNNING", "COMPLETING")

    def __str__(self) -> str:
        return f"job {self.id} {self.state.lower()} {self.why if self.why.startswith('(') else f'on {self.why}'}"


def register(root: Path) -> None:
    """Say in the study at `root`, until this process ends well, in which SLURM job it writes which log."""
    if os.environ.get(OURS) and (job := os.environ.get("SLURM_JOB_ID")):
        mark = root / _RUNNING / job
        mark.parent.mkdir(exist_ok=True)
        mark.write_text(os.readlink("/proc/self/fd/2"))
        atexit.register(mark.unlink, missing_ok=True)


def submitted(root: Path) -> dict[Path, str]:
    """SLURM's numbers of the study's jobs, by the absolute path of what they make, or of the log that they write.

    A job that waits is known from the snakemake that submitted it, which marked what it is to make; the mark is written
    over when the job starts, and then the programs in it tell. Not all of these jobs need to be in the queue any more.
    """
    folder = root.absolute().parent.parent
    marks, found = folder / ".snakemake" / "incomplete", {}
    for mark in marks.rglob("*"):
        try:
            # Long names are cut into folders (Snakemake, persistence/file.py).
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
    """The study's jobs in the queue, by what `submitted` knows them by."""
    jobs = queue()
    return {path: jobs[job] for path, job in submitted(root).items() if job in jobs} if jobs else {}


def last_words(root: Path, rule: str, wildcards: Sequence[str | int]) -> tuple[Path, str] | None:
    """What SLURM last said of an error of a step of the study at `root`: the job's log, named by its number, and the
    line; None if nothing.

    A small step went out with others, in a job that is named by its first and its last wildcard, task and seed.
    """
    logs = root.absolute().parent.parent / ".snakemake" / "slurm_logs"
    alone = "_".join(map(str, wildcards))
    task, seed = (wildcards[0], wildcards[-1]) if wildcards else ("", "")
    patterns = (f"rule_{rule}/{alone}/*.log", f"group_{task}-{seed}_*/*.log", f"group_{task}-{seed}-late_*/*.log")
    found = max((log for p in patterns for log in logs.glob(p)), key=lambda log: log.stat().st_mtime, default=None)
    if found is None:
        return None
    lines = found.read_text(errors="replace").splitlines()
    said = next((line for line in reversed(lines) if line.startswith(("slurmstepd:", "srun: error:"))), None)
    return (found, said) if said else None


def queue() -> dict[str, Queued]:
    """This user's jobs that wait or run, by number; none where there is no SLURM, or it does not answer."""
    if shutil.which("squeue") is None:
        return {}
    told = subprocess.run(
        ["squeue", "--me", "--noheader", "--format=%A|%T|%R"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ).stdout
    return {job.id: job for job in (Queued(*line.split("|", 2)) for line in told.splitlines() if line.count("|") > 1)}


def refuse_unknown(accounts: set[str], partitions: set[str]) -> None:
    """Raise ValueError for the first account that this user may not charge, or partition that the cluster does not
    have: a job that asks for one is refused, and snakemake may wait for it without end. A cluster that keeps no
    accounts knows none and refuses none."""
    own = ("sacctmgr", "--noheader", "--parsable2", "list", "associations", f"user={getpass.getuser()}")
    for kind, asked, command in (
        # SLURM keeps names of accounts in lower case, and takes them in any.
        ("account", {account.lower() for account in accounts}, (*own, "format=account")),
        ("partition", partitions, ("sinfo", "--all", "--noheader", "--format=%R")),
    ):
        known = _told(*command) if asked and shutil.which(command[0]) else set()
        if known and (unknown := asked - known):
            raise ValueError(f"no {kind} {min(unknown)!r} here: SLURM gives {', '.join(sorted(known))}")


def _told(*command: str) -> set[str]:
    """Lines of what a command says; none if it fails."""
    return set(subprocess.run(command, capture_output=True, text=True).stdout.split())


def cancel_orphans(root: Path, what: str, poll_seconds: float = 1.0) -> None:
    """Cancel what an earlier snakemake left of the study in the queue, and return when it is gone."""
    if left := sorted({job.id for job in queued(root).values()}, key=int):
        print(f"{what}: cancelling jobs of an earlier run: {' '.join(left)}", file=sys.stderr, flush=True)
        subprocess.run(["scancel", *left])  # of one that ended just now it says so, and fails
    while queue().keys() & set(left):
        time.sleep(poll_seconds)
    shutil.rmtree(root / _RUNNING, ignore_errors=True)
