import errno
import os
import signal
import subprocess
import sys

import pytest

from graft import locks

HOLDER = """
import sys
from pathlib import Path
from graft import locks
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


def test_a_file_system_without_locks_is_told_and_used(tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", refuse)
    locks.share(tmp_path / ".jobs.lock")
    locks.wait_for_jobs(tmp_path / ".jobs.lock", "study x")
    assert capsys.readouterr().err == ""
    locks.hold(tmp_path / ".lock", "study x")
    assert "has no locks" in capsys.readouterr().err
