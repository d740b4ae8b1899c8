"""Who may write into a study: locks that the operating system lets go when their holder dies, however it dies."""

import errno
import fcntl
import os
import sys
import time
from pathlib import Path

# What a file system without locks answers, such as Lustre mounted without `flock`.
NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)

# Descriptors of the locks this process holds: closing one would let it go.
_held: list[int] = []


def hold(path: Path, what: str) -> None:
    """Lock `path` for this process alone until it ends; raises ValueError if another process holds it.

    Processes on other hosts see the lock if the file system passes flock on: NFS does, Lustre if mounted with `flock`.
    On one without locks a warning is printed instead, since studies can be run there, only less safely.
    """
    descriptor = _open(path)
    try:
        locked = _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 100).decode(errors="replace").strip()
        os.close(descriptor)
        raise ValueError(f"{what} is being run by another snakemake ({holder}); wait for it or stop it") from None
    if not locked:
        print(
            f"{what}: the file system of {path} has no locks; see to it that no other snakemake, and no job of an "
            "earlier one, is at work here",
            file=sys.stderr,
        )
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"pid {os.getpid()} on {os.uname().nodename}\n".encode())
    _held.append(descriptor)


def share(path: Path) -> None:
    """Say until this process ends that a job works below the folder of `path`."""
    descriptor = _open(path)
    _flock(descriptor, fcntl.LOCK_SH)
    _held.append(descriptor)


def wait_for_jobs(path: Path, what: str) -> None:
    """Return when no process shares the lock any more: jobs outlive a snakemake that was killed."""
    descriptor = _open(path)
    told = False
    while True:
        try:
            _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if not told:
                print(f"{what}: waiting for jobs of an earlier run to end", file=sys.stderr, flush=True)
                told = True
            time.sleep(0.5)
    os.close(descriptor)


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)


def _flock(descriptor: int, operation: int) -> bool:
    """False where the file system has no locks; raises BlockingIOError where another process holds it."""
    try:
        fcntl.flock(descriptor, operation)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True
