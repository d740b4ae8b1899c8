import errno
import os
import signal
import subprocess
import sys

import pytest

from graft.io import locks

HOLDER = """
import sys
from pathlib import Path
from graft.io import locks
locks.hold(Path(sys.argv[1]), "x")
print(1, flush=True)
input()
"""


def test_a_lock_is_refused_while_held_and_free_when_its_holder_is_killed(tmp_path):
    path = tmp_path / ".lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    holder.stdout.readline()
    with pytest.raises(ValueError, match=f"pid {holder.pid}"):
        locks.hold(path, "study x")
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    locks.hold(path, "study x")


def test_a_file_system_without_locks_is_reported_and_used(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    locks.share(tmp_path / ".jobs.lock")
    locks.wait_for_jobs(tmp_path / ".jobs.lock", "study x")
    assert capsys.readouterr().err == ""
    locks.hold(tmp_path / ".lock", "study x")
    assert "has no locks" in capsys.readouterr().err


LOGGED = """
from graft.io import locks
locks.hold_log()
print(1, flush=True)
input()
"""


def test_a_job_holds_its_log_as_long_as_it_lives(tmp_path):
    log = tmp_path / "job.log"
    with log.open("w") as handle:
        job = subprocess.Popen(
            [sys.executable, "-c", LOGGED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=handle, text=True
        )
    job.stdout.readline()
    assert locks.holder(log) == ""
    job.kill()
    job.wait()
    assert locks.holder(log) is None


def test_stderr_that_is_no_file_is_not_locked(tmp_path):
    done = subprocess.run([sys.executable, "-c", LOGGED], input="\n", capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_holder_says_who_it_is_and_nobody_holds_what_is_not_there(tmp_path):
    path = tmp_path / ".lock"
    assert locks.holder(path) is None
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    holder.stdout.readline()
    assert f"pid {holder.pid} on" in locks.holder(path)
    holder.kill()
    holder.wait()


@pytest.mark.parametrize(
    ("held", "told"), [(".lock", "run by another snakemake"), (".jobs.lock", "jobs still running")]
)
def test_a_study_with_a_snakemake_or_a_job_is_not_touched(tmp_path, held, told):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / held)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    holder.stdout.readline()
    with pytest.raises(ValueError, match=told):
        locks.refuse_while_running(tmp_path / ".lock", tmp_path / ".jobs.lock", "study x")
    holder.kill()
    holder.wait()


TURN = """
import sys, time
from pathlib import Path
from graft.io import locks
turn = locks.take_turn(Path(sys.argv[1]), "it")
print(time.monotonic(), flush=True)
sys.stdin.readline()
print(time.monotonic(), flush=True)
locks.end_turn(turn)
sys.stdin.readline()
"""


def test_turns_are_taken_one_after_the_other_and_end_before_their_holders(tmp_path):
    def start():
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([sys.executable, "-c", TURN, tmp_path / "folder" / ".lock"], **pipes, text=True)

    first = start()
    first.stdout.readline()
    second = start()
    second.stdin.write("\n\n")
    second.stdin.flush()
    assert second.stderr.readline() == "it: waiting for another snakemake that may be building them\n"
    first.stdin.write("\n")
    first.stdin.flush()
    ended = float(first.stdout.readline())
    assert float(second.stdout.readline()) >= ended and first.poll() is None
    first.communicate("\n")
    second.communicate()


def test_a_process_takes_a_turn_once_and_knows_what_it_holds(tmp_path):
    """A module that is read twice would otherwise wait for itself."""
    path = tmp_path / ".lock"
    assert not locks.holds(path)
    turn = locks.take_turn(path, "x")
    assert locks.holds(path) and locks.take_turn(path, "x") is None
    locks.end_turn(None)
    locks.end_turn(turn)
    assert not locks.holds(path)


def test_all_locks_of_a_process_have_the_same_text(tmp_path, monkeypatch):
    moments = iter("12")
    monkeypatch.setattr("time.strftime", lambda _: next(moments))
    assert locks.hold(tmp_path / "one", "x") == locks.hold(tmp_path / "two", "x") == locks.holder(tmp_path / "two")


def test_a_folder_that_may_not_be_written_to_is_not_locked(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EROFS, "read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    assert locks.take_turn(tmp_path / ".lock", "it") is None
    locks.end_turn(None)


SHARER = HOLDER.replace('locks.hold(Path(sys.argv[1]), "x")', "locks.share(Path(sys.argv[1]))")


def test_jobs_share_their_lock_and_a_study_with_one_of_them_is_not_cleaned(tmp_path):
    path = tmp_path / ".jobs.lock"
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", SHARER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    assert [job.stdout.readline() for job in jobs] == ["1\n", "1\n"]
    jobs[0].communicate("\n")
    with pytest.raises(ValueError, match="study x has jobs still running without a snakemake"):
        locks.refuse_while_running(tmp_path / ".lock", path, "study x")
    jobs[1].communicate("\n")
    locks.wait_for_jobs(path, "study x")


def test_a_job_whose_snakemake_is_gone_is_refused_where_another_one_came(tmp_path, monkeypatch):
    path = tmp_path / ".lock"
    monkeypatch.setenv(locks.RUN, "pid 1")
    locks.refuse_orphan(path)
    path.write_text("pid 1\n")
    locks.refuse_orphan(path)
    path.write_text("pid 2\n")
    with pytest.raises(ValueError, match=r"a snakemake that is gone \(pid 1\), not to the present one \(pid 2\)"):
        locks.refuse_orphan(path)
    monkeypatch.delenv(locks.RUN)
    locks.refuse_orphan(path)
