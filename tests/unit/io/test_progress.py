import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from graft.io.progress import along, progress

ROOT = Path(__file__).parents[3]


def test_a_step_of_unknown_length_is_told_in_a_log_as_it_begins(capsys):
    with progress("merge") as report:
        report(0, 0, "fitting the head")
        assert capsys.readouterr().err.endswith(" merge fitting the head\n")


def test_what_is_gone_along_is_told_before_each_item_and_at_the_end():
    told = []
    seen = list(along("ab", lambda *report: told.append(report), "letters"))
    assert seen == ["a", "b"] and told == [(0, 2, "letters"), (1, 2, "letters"), (2, 2, "letters")]


def test_progress_in_a_log_is_a_line_for_the_end_at_least(capsys):
    with progress("finetune.x") as report:
        for step in range(5):
            report(step + 1, 5, "loss 0.1")
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].endswith("finetune.x 5/5 loss 0.1") and len(lines) <= 2


def test_a_log_has_a_line_when_it_is_time_for_one_and_one_at_the_end(capsys, monkeypatch):
    clock = iter([100.0, 100.0, 105.0, 110.0, 110.0, 111.0, 112.0])
    # Not `time.monotonic` itself: other threads look at the clock too.
    own = SimpleNamespace(monotonic=lambda: next(clock), strftime=time.strftime)
    monkeypatch.setattr("graft.io.progress.time", own)
    with progress("finetune") as report:
        for step in (1, 2, 3, 4, 5):
            report(step, 5)
    assert [line.split()[1:] for line in capsys.readouterr().err.splitlines()] == [
        ["finetune", f"{step}/5"] for step in (1, 3, 5)
    ]


def test_a_process_beside_the_one_that_reports_says_nothing(capsys):
    with progress("finetune", visible=False) as report:
        report(5, 5, "loss 0.1")
    assert capsys.readouterr() == ("", "")


SHOWN = """
from graft.io.progress import progress
with progress("merge [b]") as report:
    report(0, 0, "reading")
    for done in (1, 2, 3):
        report(done, 3, "layers")
"""


def test_in_a_terminal_it_is_one_line_that_changes():
    """The last of its states: what is done, of how much, and no markup in names."""
    ours, theirs = os.openpty()
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80", "NO_COLOR": "1"}
    process = subprocess.Popen([sys.executable, "-c", SHOWN], stderr=theirs, env=env)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(20) == 0
    states = [state for state in re.split(r"\x1b\[[?\d;]*\w|[\r\n]+", shown.decode()) if "merge [b]" in state]
    assert all(part in states[-1] for part in ("layers", "3/3")) and "reading" not in states[-1]
