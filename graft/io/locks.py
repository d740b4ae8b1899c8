"""Locks on a study, which the operating system releases when their holder dies, however it dies."""

import contextlib
import errno
import fcntl
import functools
import os
import stat
import sys
import time
from pathlib import Path

# Errors from a file system without locks, such as Lustre mounted without `flock`.
NO_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)

# Environment variable that gives a job the text its snakemake wrote into the study's lock.
RUN = "GRAFT_RUN"
_STDERR = 2
# Descriptors of the locks this process holds: closing one would release it.
_held: list[int] = []


def hold(path: Path, what: str, by: str = "snakemake") -> str:
    """Lock `path` exclusively until this process ends.

    Returns the text written into the lock: who holds it and since when. Raises ValueError if another process holds it.
    Processes on other hosts see the lock if the file system passes flock on: NFS does, Lustre if mounted with `flock`.
    On a file system without locks this prints a warning instead: studies can be run there, only less safely.
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
            f"{what}: the file system of {path} has no locks; make sure that no other {by}, and no job of an "
            "earlier one, is running here",
            file=sys.stderr,
        )
    mark = _mark(os.getpid())
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{mark}\n".encode())
    _held.append(descriptor)
    return mark


@functools.cache
def _mark(pid: int) -> str:
    """The same text in all locks of a process, since its jobs know one."""
    return f"pid {pid} on {os.uname().nodename} since {time.strftime('%Y-%m-%d %H:%M:%S')}"


def holds(path: Path) -> bool:
    """Whether this process holds a lock on `path`."""
    return path.exists() and any(os.path.samestat(os.fstat(descriptor), path.stat()) for descriptor in _held)


def refuse_orphan(path: Path) -> None:
    """Raise ValueError if the snakemake of this job, named in the environment, was not the last to hold lock `path`."""
    mine = os.environ.get(RUN)
    if mine and path.is_file() and (last := path.read_text().strip()) != mine:
        raise ValueError(f"this job belongs to a snakemake that is gone ({mine}), not to the present one ({last})")


def share(path: Path) -> None:
    """Take a shared lock on `path` until this process ends, to show that a job works below its folder."""
    descriptor = _open(path)
    _flock(descriptor, fcntl.LOCK_SH)
    _held.append(descriptor)


def wait_for_jobs(path: Path, what: str) -> None:
    """Wait until no process shares the lock: jobs outlive a snakemake that was killed."""
    descriptor = _open(path)
    _wait(descriptor, f"{what}: waiting for jobs of an earlier run to end")
    os.close(descriptor)


def take_turn(path: Path, what: str, by: str = "snakemake") -> int | None:
    """Lock `path` as soon as no other process holds it.

    Returns a handle; the lock lasts until `end_turn(handle)` or the end of this process. Returns None if this process
    holds it already, or if this user may not write the lock, and so cannot change what it protects either.
    """
    if holds(path):
        return None
    try:
        descriptor = _open(path)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        return None
    _wait(descriptor, f"{what}: waiting for another {by} that may be building them")
    _held.append(descriptor)
    return descriptor


def end_turn(turn: int | None) -> None:
    """Release the lock whose handle `take_turn` returned."""
    if turn in _held:
        _held.remove(turn)
        os.close(turn)


def refuse_while_running(lock: Path, jobs_lock: Path, what: str) -> None:
    """Hold both of a study's locks until this process ends; raises ValueError if snakemake or a job holds one."""
    hold(lock, what)
    descriptor = _open(jobs_lock)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ValueError(f"{what} has jobs still running without a snakemake; wait for them or stop them") from None
    _held.append(descriptor)


def hold_log() -> None:
    """Lock the file behind stderr, if it is one, until this process ends.

    The lock distinguishes a running job from one that was killed.
    """
    if stat.S_ISREG(os.fstat(_STDERR).st_mode):
        # If it is locked, that is no error: `holder` takes the lock for an instant to test it.
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(_STDERR, fcntl.LOCK_EX | fcntl.LOCK_NB)


def holder(path: Path) -> str | None:
    """Return the text that the holder of a lock wrote into it ("" if nothing), or None if nobody holds it."""
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
    """Return False if the file system has no locks; raises BlockingIOError if another process holds this one."""
    try:
        fcntl.flock(descriptor, operation)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True


def _wait(descriptor: int, message: str) -> None:
    """Lock it exclusively as soon as it is free, printing one message if that means waiting."""
    said = False
    while True:
        try:
            _flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not said:
                print(message, file=sys.stderr, flush=True)
                said = True
            time.sleep(0.5)
