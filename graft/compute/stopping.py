"""Stop on a signal: the request is remembered, and honoured at a point from which the work can resume."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

# SIGTERM comes from kill, and from SLURM before it ends a job; SIGUSR1 from SLURM with `--signal=USR1@90`.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Stopped(RuntimeError):
    """Raised by a run that stopped on request at a point from which the next attempt resumes."""


@dataclass
class Request:
    """Whether this process was asked to stop, and by which signal."""

    name: str | None = None

    def __bool__(self) -> bool:
        return self.name is not None


@contextmanager
def listening() -> Iterator[Request]:
    """Turn SIGTERM and SIGUSR1 into requests within this block, which must run in the main thread."""
    request = Request()

    def take(number: int, frame: FrameType | None) -> None:
        request.name = signal.Signals(number).name

    before = {number: signal.signal(number, take) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
