"""One line in a terminal about a study that is running: jobs done, running and failed, the time left.

In a terminal it takes the place of Snakemake's own lines (rules/common.smk), and hears what that tells its loggers.
What must stay on the screen, such as a failed job, is printed above it.
"""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from graft.io.workflow import COMMAND
from graft.reporting.states import error_of

# Seconds between two drawings, and before the time left is shown.
EVERY, SOON = 1.0, 10.0
# What Snakemake says of itself at every run, and of a failed job besides; its log has it all.
_CHATTER = (
    *("Building DAG of jobs", "Using shell", "Group jobs: inactive", "Conda environments: ignored", "Select jobs to"),
    *("Removing output files of failed job", "Removing temporary output", "Complete log", "Elapsed time"),
    *("RuleException:\nCalledProcessError", "Exiting because a job execution failed"),
)


@dataclass
class Jobs:
    """The jobs of one call of Snakemake, by its numbers for them; times are in seconds.

    expected: how long each should take by the plan, or None as long as that is not known. running: what each is called,
    and when it was started. taken: how long those took that are done.
    """

    total: int = 0
    expected: Mapping[int, float] | None = None
    running: dict[int, tuple[str, float]] = field(default_factory=dict)
    taken: dict[int, float] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)

    def start(self, job: int, name: str, now: float) -> None:
        self.failed.discard(job)
        self.running[job] = name, now

    def end(self, job: int, now: float) -> None:
        self.taken[job] = now - self.running.pop(job, ("", now))[1]

    def fail(self, job: int) -> None:
        self.running.pop(job, None)
        self.failed.add(job)

    def left(self, since: float, now: float) -> float | None:
        """Seconds until all jobs are done, if what is left goes as fast as what has been done `since` then.

        A running job is as far as its time says, given how much longer than expected finished ones took. None if
        nothing is known yet.
        """
        if self.expected is None:
            return None
        whole = sum(self.expected.values())
        done = sum(self.expected.get(job, 0.0) for job in self.taken)
        slower = sum(self.taken.values()) / done if done else 1.0
        for job, (_, started) in self.running.items():
            expected = self.expected.get(job, 0.0)
            done += min((now - started) / max(slower, 1e-9), expected)
        return (now - since) * (whole - done) / done if done else None


class Line(logging.Handler):
    """Draws the line on a terminal, `stream`, whenever Snakemake tells something and every second, until it is closed.

    expect: the seconds that each job to be run should take, by Snakemake's numbers, once they can be known; it is asked
    at the start and after each job until then.
    """

    def __init__(self, study: str, stream: TextIO, expect: Callable[[], Mapping[int, float] | None]) -> None:
        super().__init__()
        self.study, self.stream, self.expect = study, stream, expect
        self.jobs, self.shown, self.since, self.whole = Jobs(), "", time.monotonic(), False
        self._over = threading.Event()
        threading.Thread(target=self._tick, daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take in one of Snakemake's messages; logging calls a handler from one thread at a time."""
        try:
            self._hear(record)
            self._draw()
        except Exception:  # a fault of the line ends no study
            self.handleError(record)

    def _hear(self, record: logging.LogRecord) -> None:
        event, told, now = str(getattr(record, "event", "") or ""), vars(record), time.monotonic()
        if event == "run_info":
            self.jobs.total, self.whole = told["stats"]["total"], "all" in told["stats"]
            self.jobs.expected = self.expect()
        elif event == "job_info":
            self.jobs.start(told["jobid"], " ".join([told["rule_name"], *told["wildcards"].values()]), now)
        elif event == "job_finished":
            self.jobs.end(told["job_id"], now)
            if self.jobs.expected is None:
                self.jobs.expected = self.expect()
        elif event == "job_error":
            self._failed(told)
        elif event in ("", "error") and not record.getMessage().startswith(_CHATTER):
            self._say(record.getMessage())

    def close(self) -> None:
        """End the line; what comes after is below it."""
        self.acquire()
        try:
            if not self._over.is_set():
                self._over.set()
                self._show(self._ending())
                self._write("\n" if self.shown else "")
                self.shown = ""
        finally:
            self.release()
        super().close()

    def _failed(self, told: Mapping[str, Any]) -> None:
        """Say which job failed, why and where that stands; a job that a group would have had is not one."""
        job, rule, logs = told["jobid"], told["rule_name"], [Path(log) for log in told["log"]]
        why = next((why for log in logs if (why := error_of(log, rule))), "")
        name, _ = self.jobs.running.get(job, (rule, 0.0))
        if why or not told.get("indent"):
            self.jobs.fail(job)
            self._say("; ".join(filter(None, [f"failed: {name}", why.removeprefix(f"{rule}: "), *map(str, logs)])))
        else:
            self.jobs.running.pop(job, None)

    def _tick(self) -> None:
        while not self._over.wait(EVERY):
            self.acquire()
            try:
                self._draw()
            finally:
                self.release()

    def _draw(self) -> None:
        if not self._over.is_set():
            self._show(self._now())

    def _now(self) -> str:
        """The line at this moment."""
        if not self.jobs.total:
            return f"{self.study}: finding what is left to do"
        now = time.monotonic()
        left = self.jobs.left(self.since, now) if now - self.since > SOON else None
        ahead = "" if left is None else f", about {span(left)} left"
        running = ", ".join(name for name, _ in self.jobs.running.values())
        counts = self._counts(len(self.jobs.running))
        return f"{self.study}: {counts}; {span(now - self.since)}{ahead}{'; ' if running else ''}{running}"

    def _ending(self) -> str:
        """The line that stays."""
        if not self.jobs.total:
            return ""
        done = len(self.jobs.taken) == self.jobs.total
        hint = f"; `{COMMAND} show {self.study}` shows the results" if done and self.whole else ""
        return f"{self.study}: {self._counts()} in {span(time.monotonic() - self.since)}{hint}"

    def _counts(self, running: int = 0) -> str:
        counts = [f"{len(self.jobs.taken)} of {self.jobs.total} jobs done"]
        counts += [f"{n} {word}" for n, word in ((running, "running"), (len(self.jobs.failed), "failed")) if n]
        return ", ".join(counts)

    def _say(self, text: str) -> None:
        """Print what stays on the screen."""
        self._show("")
        self._write(f"{text}\n")

    def _show(self, text: str) -> None:
        """Replace the line. Spaces erase what was longer, which every terminal understands."""
        text = text[: max(_width(self.stream) - 1, 1)]
        if text != self.shown:
            self._write("\r" + text.ljust(len(self.shown)) + ("" if text else "\r"))
            self.shown = text

    def _write(self, text: str) -> None:
        # A terminal that is gone ends no study.
        with contextlib.suppress(OSError):
            self.stream.write(text)
            self.stream.flush()


def span(seconds: float) -> str:
    """A time in words, as exact as anyone waits for it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80
