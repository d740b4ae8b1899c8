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
