"""The screen of a terminal while a study runs: one line, and above it what failed."""

import json
import os
import pty
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import study_values
from tests.unit.reporting.test_live import screen
from tests.workflow.conftest import environment, snakemake


def in_a_terminal(folder: Path, *arguments: str, until: str = "", typed: bytes = b"") -> tuple[int, str]:
    """Exit status of `graft run` in a new terminal, and all that it printed there.

    `typed`: keys, once it has printed `until`.
    """
    command = [sys.executable, "-m", "graft", "run", *arguments, "--cores", "2"]
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execve(command[0], command, environment())
    printed = ""
    while part := _read(terminal):
        printed += part
        if typed and until in printed:
            os.write(terminal, typed)
            typed = b""
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), printed


def lines_of(printed: str) -> list[str]:
    """The lines on the screen, without what moves the bar by which the tables are made after a failure."""
    return screen(re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", printed))


def _read(terminal: int) -> str:
    """Text that was printed next; empty once no program is in the terminal any more."""
    try:
        return os.read(terminal, 100_000).decode()
    except OSError:
        return ""


@pytest.fixture(scope="module")
def diverging(pico_glue, pico_models) -> Callable[[Path], Path]:
    """Write the config of a study of two fine-tunings, of which one fails."""
    values = study_values(pico_glue, pico_models, seeds=[0], include=["*/finetune.small/*"], cost={"measure": False})
    del values["tasks"]["stsb"]
    # AdamW divides 0 by 0 for words that a batch lacks.
    values["models"]["small"]["finetune"]["rte"]["adam_epsilon"] = 1e-300

    def write(folder: Path) -> Path:
        (folder / "config.json").write_text(json.dumps(values))
        return folder / "config.json"

    return write


@pytest.fixture(scope="module")
def failed(diverging, tmp_path_factory) -> tuple[Path, int, list[str]]:
    """Folder, exit status and the lines on the screen."""
    folder = tmp_path_factory.mktemp("live")
    status, printed = in_a_terminal(folder, str(diverging(folder)))
    return folder, status, lines_of(printed)


def test_a_failed_job_is_named_with_its_reason_and_the_exit_status_is_snakemakes(failed):
    folder, status, lines = failed
    assert status == 1
    (told,) = (line for line in lines if line.startswith("failed: "))
    assert told.startswith("failed: finetune_model rte finetune.small 0; loss is ")
    log = told.rsplit("; ", 1)[1]
    assert log.endswith("finetune.small/seed-0.log") and (folder / log).is_file()


def test_one_line_is_left_of_all_others(failed):
    _, _, lines = failed
    counts = [line for line in lines if line.startswith("pico: ")]
    assert len(counts) == 1 and " jobs done, 1 failed in " in counts[0], lines
    # Snakemake says what it assumes before it reads the Snakefile, and no more before the failure.
    assert lines.index(next(line for line in lines if line.startswith("failed: "))) <= 2, lines
    assert any("status pico` says which runs failed" in line for line in lines)


def test_what_then_succeeds_ends_in_how_to_see_it_and_once_more_there_is_nothing_to_do(failed):
    folder, _, _ = failed
    only = [str(folder / "config.json"), "--config", 'exclude=["rte/*"]']
    status, printed = in_a_terminal(folder, *only)
    lines = screen(printed)
    assert status == 0 and "show pico` shows the results" in lines[-2], lines
    done, total = lines[-2].removeprefix("pico: ").split(" jobs done")[0].split(" of ")
    assert done == total
    status, printed = in_a_terminal(folder, *only)
    assert status == 0 and any("Nothing to be done" in line for line in screen(printed))
    # A file or pipe gets Snakemake's own lines, and no carriage return.
    piped = snakemake(folder, folder / "config.json", "--config", 'exclude=["rte/*"]')
    assert "Nothing to be done" in piped.stdout and "\r" not in piped.stdout and "pico: " not in piped.stdout


def test_ctrl_c_ends_the_study_as_it_ends_snakemake(diverging, tmp_path):
    status, printed = in_a_terminal(tmp_path, str(diverging(tmp_path)), until="1 running", typed=b"\x03")
    lines = lines_of(printed)
    assert status == 1 and any("Terminating processes on user request" in line for line in lines), lines
    (ending,) = (line for line in lines if line.startswith("pico: "))
    done, total = ending.removeprefix("pico: ").split(" jobs done")[0].split(" of ")
    assert int(done) < int(total) and "running" not in ending


def test_a_dry_run_lists_jobs_in_a_terminal_too(diverging, tmp_path):
    status, printed = in_a_terminal(tmp_path, str(diverging(tmp_path)), "--dry-run")
    assert status == 0 and "finetune_model" in printed and "This was a dry-run" in printed
