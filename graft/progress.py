"""How far a program is: a bar in a terminal, lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PROGRESS_EVERY = 10.0  # seconds between progress lines in a log


@contextmanager
def progress(what: str, visible: bool = True) -> Iterator[Callable[[int, int, str], None]]:
    """Yield `report(done, total, text)`: a bar in a terminal, a line every ten seconds in a log; or nothing, where
    another process of the job reports."""
    if not visible:
        yield lambda done, total, text="": None
        return
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, TextColumn("{task.fields[text]}"), console=Console(stderr=True)) as bar:
            task = bar.add_task(what, total=None, text="")
            yield lambda done, total, text="": bar.update(task, completed=done, total=total, text=text)
        return
    last = 0.0

    def line(done: int, total: int, text: str = "") -> None:
        nonlocal last
        if done == total or time.monotonic() - last >= PROGRESS_EVERY:
            last = time.monotonic()
            print(f"{time.strftime('%H:%M:%S')} {what} {done}/{total} {text}".rstrip(), file=sys.stderr, flush=True)

    yield line
