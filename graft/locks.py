"""One writer per study: a lock that the operating system lets go when its holder dies, however it dies."""

import fcntl
import os
from pathlib import Path

_held: list[int] = []


def hold(path: Path, what: str) -> None:
    """Lock `path` until this process ends; raises ValueError if another process holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 100).decode(errors="replace").strip()
        os.close(descriptor)
        raise ValueError(f"{what} is being run by another snakemake ({holder}); wait for it or stop it") from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"pid {os.getpid()} on {os.uname().nodename}\n".encode())
    _held.append(descriptor)
