"""Being told to stop: a signal is remembered, and answered where the work can be taken up again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# SIGTERM comes from kill, and from SLURM before it ends a job; SIGUSR1 where `--signal=USR1@90` asks for it.
SIGNALS = (signal.SIGTERM, signal.SIGUSR1)


class Stopped(RuntimeError):
    """A run that was told to stop, and did so where the next attempt goes on."""


class Request:
    """Whether this process was told to stop."""

    def __init__(self) -> None:
        self.name: str | None = None

    def __bool__(self) -> bool:
        return self.name is not None

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.name = signal.Signals(number).name


@contextmanager
def listening() -> Iterator[Request]:
    """Take SIGTERM and SIGUSR1 as requests in this block, which must be in the main thread."""
    request = Request()
    before = {number: signal.signal(number, request._take) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
