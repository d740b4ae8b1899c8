"""Who may write into a study: locks that the operating system lets go when their holder dies, however it dies."""

import contextlib
import errno
import fcntl
import os
import stat
import sys
import time
from pathlib import Path

# What a file system without locks answers, such as Lustre mounted without `flock`.
NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


# Variable in which a job finds what its snakemake wrote into the study's lock.
RUN = "GRAFT_RUN"
_STDERR = 2
# Descriptors of the locks this process holds: closing one would let it go.
_held: list[int] = []


def hold(path: Path, what: str, by: str = "snakemake") -> str:
    """Lock `path` for this process alone until it ends, and return what it wrote into it: who holds it, since when.
    Raises ValueError if another process holds it.

    Processes on other hosts see the lock if the file system passes flock on: NFS does, Lustre if mounted with `flock`.
    On one without locks a warning is printed instead, since studies can be run there, only less safely.
    """
    descriptor = _open(path)
    try:
        locked = _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 100).decode(errors="replace").strip()
        os.close(descriptor)
        raise ValueError(f"{what} is being run by another {by} ({holder}); wait for it or stop it") from None
    if not locked:
        print(
            f"{what}: the file system of {path} has no locks; see to it that no other {by}, and no job of an "
            "earlier one, is at work here",
            file=sys.stderr,
        )
    mark = f"pid {os.getpid()} on {os.uname().nodename} since {time.strftime('%Y-%m-%d %H:%M:%S')}"
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{mark}\n".encode())
    _held.append(descriptor)
    return mark


def refuse_orphan(path: Path) -> None:
    """Raise ValueError in a job whose snakemake, named in the environment, was not the last to hold the lock `path`."""
    mine = os.environ.get(RUN)
    if mine and path.is_file() and (last := path.read_text().strip()) != mine:
        raise ValueError(f"this job is of a snakemake that is gone ({mine}); now it is {last}")


def share(path: Path) -> None:
    """Say until this process ends that a job works below the folder of `path`."""
    descriptor = _open(path)
    _flock(descriptor, fcntl.LOCK_SH)
    _held.append(descriptor)


def wait_for_jobs(path: Path, what: str) -> None:
    """Return when no process shares the lock any more: jobs outlive a snakemake that was killed."""
    descriptor = _open(path)
    _wait(descriptor, f"{what}: waiting for jobs of an earlier run to end")
    os.close(descriptor)


def take_turn(path: Path, what: str) -> int | None:
    """Lock `path` as soon as no other process has it, until `end_turn` of what is returned or this process ends; None
    where this user may not write, and so may not change what is locked either."""
    try:
        descriptor = _open(path)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        return None
    _wait(descriptor, f"{what}: waiting for another snakemake that may be building them")
    return descriptor


def end_turn(turn: int | None) -> None:
    """Let go what `take_turn` returned."""
    if turn is not None:
        os.close(turn)


def refuse_while_running(lock: Path, jobs_lock: Path, what: str) -> None:
    """Hold both of a study's locks until this process ends; raises ValueError if snakemake or a job has one."""
    hold(lock, what)
    descriptor = _open(jobs_lock)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ValueError(f"{what} has jobs that still run, without a snakemake; wait for them or stop them") from None
    _held.append(descriptor)


def hold_log() -> None:
    """Lock the file that stderr goes to, if it is one, until this process ends: that tells a job that runs from one
    that was killed."""
    if stat.S_ISREG(os.fstat(_STDERR).st_mode):
        # Another holder is no fault of this job: `holder` looks for an instant.
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(_STDERR, fcntl.LOCK_EX | fcntl.LOCK_NB)


def holder(path: Path) -> str | None:
    """What the process that holds a lock wrote into it ("" if nothing), or None if nobody holds it."""
    if not path.is_file():
        return None
    with path.open("rb") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return handle.read(100).decode(errors="replace").strip()
    return None


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)


def _flock(descriptor: int, operation: int) -> bool:
    """False where the file system has no locks; raises BlockingIOError where another process holds it."""
    try:
        fcntl.flock(descriptor, operation)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True


def _wait(descriptor: int, told: str) -> None:
    """Lock it alone as soon as nobody has it, saying once that this takes a while."""
    said = False
    while True:
        try:
            _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not said:
                print(told, file=sys.stderr, flush=True)
                said = True
            time.sleep(0.5)
