"""Progress reports: a bar in a terminal, lines in a log."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

PROGRESS_EVERY = 10.0  # seconds between progress lines in a log
# Called with (done, total, text); a total of 0 begins a step of unknown length.
Report = Callable[[int, int, str], None]
Item = TypeVar("Item")


def silent(done: int, total: int, text: str = "") -> None:
    """Ignore a progress report."""


def along(items: Sequence[Item], report: Report, text: str) -> Iterator[Item]:
    """Yield the items, reporting `text` with the number done before each and after the last."""
    for done, item in enumerate(items):
        report(done, len(items), text)
        yield item
    report(len(items), len(items), text)


def part_of(report: Report, number: int, count: int) -> Report:
    """Return the report for part `number` of a task of `count` equally long parts."""
    return lambda done, total, text: report(number * total + done, count * total, text)


@contextmanager
def progress(what: str, visible: bool = True) -> Iterator[Report]:
    """Yield `report(done, total, text)`: a bar in a terminal, a line every ten seconds in a log.

    visible: False silences it, for a job in which another process reports.
    """
    if not visible:
        yield silent
    elif sys.stderr.isatty():
        with _bar(what) as report:
            yield report
    else:
        yield _lines(what)


@contextmanager
def _bar(what: str) -> Iterator[Report]:
    """Show a bar and the elapsed time of the current step; its spinner turns between reports."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column

    # The description comes first: in a narrow terminal the bar shrinks.
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[text]}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
        TextColumn("{task.fields[count]}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=None, table_column=Column(ratio=1, max_width=40)),
        TimeElapsedColumn(table_column=Column(no_wrap=True)),
    )
    with Progress(*columns, console=Console(stderr=True), expand=False) as bar:
        task = bar.add_task(what, total=None, text="", count="")
        length = 0

        def report(done: int, total: int, text: str = "") -> None:
            nonlocal length
            if total != length or not total:
                length = total
                bar.reset(task, total=total or None)
            bar.update(task, completed=done, text=text, count=f"{done}/{total}" if total else "")

        yield report


def _lines(what: str) -> Report:
    last = 0.0

    def report(done: int, total: int, text: str = "") -> None:
        nonlocal last
        if done == total or time.monotonic() - last >= PROGRESS_EVERY:
            last = time.monotonic()
            count = f"{done}/{total}" if total else ""
            line = " ".join(part for part in (time.strftime("%H:%M:%S"), what, count, text) if part)
            print(line, file=sys.stderr, flush=True)

    return report
