import fcntl
import logging
import os
import pty
import select
import struct
import termios
import tty
from types import SimpleNamespace

import pytest

from graft.reporting import live
from graft.reporting.live import Jobs, Line, span


def screen(printed: str) -> list[str]:
    """The lines that a terminal shows of what was printed; no other control character is understood."""
    assert all(c.isprintable() or c in "\r\n" for c in printed), printed
    lines = [""]
    at = 0
    for character in printed:
        if character == "\n":
            lines.append("")
        elif character != "\r":
            lines[-1] = lines[-1][:at].ljust(at) + character + lines[-1][at + 1 :]
        at = 0 if character in "\r\n" else at + 1
    return [line.rstrip() for line in lines]


@pytest.fixture
def terminal(monkeypatch):
    """A line on a terminal that is 100 wide, and what the terminal shows; no time passes."""
    monkeypatch.setattr(live, "EVERY", 1000.0)
    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: 0.0))
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    with os.fdopen(theirs, "w") as stream:
        line = Line("mine", stream, lambda: {1: 1.0, 2: 2.0})
        printed = ""

        def shown() -> list[str]:
            nonlocal printed
            while select.select([ours], [], [], 0.1)[0]:
                printed += os.read(ours, 100_000).decode()
            return screen(printed)

        yield line, shown
        line.close()
    os.close(ours)


def tell(line: Line, text: str = "", level: int = logging.INFO, **extra) -> None:
    """Hand over what Snakemake would tell its loggers."""
    record = logging.LogRecord("snakemake", level, "", 0, text, None, None)
    vars(record).update(extra)
    line.handle(record)


def start(line: Line, number: int, rule: str, **wildcards) -> None:
    tell(line, event="job_info", jobid=number, rule_name=rule, wildcards=wildcards)


def begin(line: Line, total: int = 3) -> None:
    tell(line, "Job stats: ...", event="run_info", stats={"finetune_model": total - 1, "all": 1, "total": total})


def finish(line: Line, number: int) -> None:
    tell(line, event="job_finished", job_id=number)


def fail(line: Line, number: int, log, **extra) -> None:
    extra |= {"event": "job_error", "jobid": number, "rule_name": "finetune_model", "log": [str(log)]}
    tell(line, level=logging.ERROR, **extra)


def test_the_line_counts_jobs_and_names_those_that_run(terminal):
    line, shown = terminal
    tell(line, "Building DAG of jobs...")
    assert shown() == ["mine: finding what is left to do"]
    begin(line)
    start(line, 1, "finetune_model", task="reviews", system="finetune.small", seed="0")
    assert shown() == ["mine: 0 of 3 jobs done, 1 running; 0 s; finetune_model reviews finetune.small 0"]
    finish(line, 1)
    assert shown() == ["mine: 1 of 3 jobs done; 0 s"]
    finish(line, 2)
    finish(line, 3)
    line.close()
    last, below = shown()
    assert last.startswith("mine: 3 of 3 jobs done in 0 s; `") and last.endswith("show mine` shows the results")
    assert below == ""


def test_the_line_is_never_wider_than_the_terminal(terminal):
    line, shown = terminal
    begin(line)
    for number in range(3):
        start(line, number, "finetune_model", task="a" * 60, seed=str(number))
    (text,) = shown()
    assert len(text) == 99 and text.startswith("mine: 0 of 3 jobs done, 3 running; 0 s; finetune_model aaa")


def test_a_failed_job_is_told_above_the_line_in_the_words_of_its_log(terminal, tmp_path):
    line, shown = terminal
    begin(line)
    start(line, 1, "finetune_model", task="reviews", seed="0")
    log = tmp_path / "a.log"
    log.write_text("12:00:00 finetune_model 1/10\nfinetune_model: the loss is not finite\n")
    fail(line, 1, log)
    told = f"failed: finetune_model reviews 0; the loss is not finite; {log}"
    assert shown() == [told, "mine: 0 of 3 jobs done, 1 failed; 0 s"]
    # Tried again, it is no longer one that failed.
    start(line, 1, "finetune_model", task="reviews", seed="0")
    assert shown() == [told, "mine: 0 of 3 jobs done, 1 running; 0 s; finetune_model reviews 0"]
    # Without a word in its log it has failed all the same, unless another job of its group did.
    log.unlink()
    fail(line, 1, log, indent=True)
    assert shown() == [told, "mine: 0 of 3 jobs done; 0 s"]
    fail(line, 1, log)
    assert shown()[1:] == [f"failed: finetune_model; {log}", "mine: 0 of 3 jobs done, 1 failed; 0 s"]


def test_what_snakemake_says_stays_but_for_its_chatter(terminal):
    line, shown = terminal
    begin(line)
    tell(line, "Select jobs to execute...")
    tell(line, "RuleException:\nCalledProcessError in file a.smk, line 1:\nCommand", logging.ERROR, event="error")
    tell(line, "Nothing to be done (all requested files are present and up to date).")
    tell(line, "no space left", logging.ERROR, event="error")
    told = ["Nothing to be done (all requested files are present and up to date).", "no space left"]
    assert shown() == [*told, "mine: 0 of 3 jobs done; 0 s"]
    line.close()
    # Its last words come after the line.
    tell(line, "At least one job did not complete successfully.", logging.ERROR, event="error")
    ending = ["mine: 0 of 3 jobs done in 0 s", "At least one job did not complete successfully.", ""]
    assert shown() == [*told, *ending]


def test_a_call_that_runs_no_job_leaves_nothing(terminal):
    line, shown = terminal
    tell(line, "Building DAG of jobs...")
    line.close()
    assert shown() == [""]


def test_what_was_running_at_the_end_is_not_counted(terminal):
    line, shown = terminal
    begin(line)
    start(line, 1, "finetune_model", task="reviews")
    line.close()
    assert shown() == ["mine: 0 of 3 jobs done in 0 s", ""]


def test_a_fault_of_the_line_ends_no_study(terminal, monkeypatch):
    line, shown = terminal
    monkeypatch.setattr(logging, "raiseExceptions", False)
    monkeypatch.setattr(line, "expect", lambda: 1 / 0)
    begin(line)
    finish(line, 1)
    start(line, 2, "plot")
    assert shown() == ["mine: 1 of 3 jobs done, 1 running; 0 s; plot"]


def test_the_time_left_is_that_of_the_plan_at_the_speed_so_far():
    jobs = Jobs(total=4)
    jobs.start(1, "one", 0.0)
    assert jobs.left(0.0, 10.0) is None  # nothing is known of them
    jobs.expected = {1: 10.0, 2: 20.0, 3: 30.0, 4: 0.0}
    # As long as none is done, a running job is as far as its time says: 5 of 60 seconds.
    assert jobs.left(0.0, 5.0) == pytest.approx(55.0)
    # It took twice as long; so will the others.
    jobs.end(1, 20.0)
    assert jobs.left(0.0, 20.0) == pytest.approx(100.0)
    # Two at once are twice as fast: after ten more seconds, half as much of each is done.
    jobs.start(2, "two", 20.0)
    jobs.start(3, "three", 20.0)
    assert jobs.left(0.0, 30.0) == pytest.approx(30.0 * 40.0 / 20.0)
    # A job that takes longer than expected is no more than done.
    assert jobs.left(0.0, 1000.0) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (99, "99 s"), (101, "2 min"), (5000, "83 min"), (7200, "2.0 h")]
)
def test_a_time_is_told_as_exactly_as_one_waits_for_it(seconds, words):
    assert span(seconds) == words
