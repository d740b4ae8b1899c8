import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from graft.study import preload

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[3]


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server with what a job's environment needs to find it; it ends with its standard input."""
    path = tmp_path / "s" / "preload"
    path.parent.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "graft.study.preload", path], stdin=subprocess.PIPE, env=environment
    )
    while not path.exists():
        time.sleep(0.01)
    yield {**environment, preload.VARIABLE: str(path)}, process
    process.stdin.close()
    process.wait(timeout=30)
    assert not path.parent.exists()


def program(tmp_path, text):
    """A package with one program in it, which asks for the server as the workflow's programs do."""
    package = tmp_path / "work" / "programs"
    package.mkdir(parents=True)
    package.joinpath("__init__.py").write_text((ROOT / "workflow_scripts" / "__init__.py").read_text())
    package.joinpath("one.py").write_text(text)
    return package.parent


def run(folder, environment, *arguments):
    command = [sys.executable, "-m", "programs.one", *arguments]
    environment = {**environment, "PYTHONPATH": f"{ROOT}:{folder}"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


SHOW = """
import json, os, sys
print(json.dumps({"preloaded": "transformers" in sys.modules, "arguments": sys.argv[1:], "folder": os.getcwd(),
                  "name": __name__, "own": os.environ.get("OWN"), "parent": os.getppid()}))
print("to stderr", file=sys.stderr)
raise SystemExit(int(sys.argv[1]))
"""


def test_a_program_runs_in_the_server_as_it_would_by_itself(server, tmp_path):
    environment, process = server
    folder = program(tmp_path, SHOW)
    there = run(folder, {**environment, "OWN": "1"}, "3", "a b")
    alone = run(folder, {**environment, "OWN": "1", preload.VARIABLE: ""}, "3", "a b")
    assert there.returncode == alone.returncode == 3 and there.stderr == alone.stderr == "to stderr\n"
    seen, expected = json.loads(there.stdout), json.loads(alone.stdout)
    assert (seen.pop("preloaded"), expected.pop("preloaded")) == (True, False)
    assert seen.pop("parent") == process.pid != expected.pop("parent")
    assert seen == expected == {"arguments": ["3", "a b"], "folder": str(folder), "name": "__main__", "own": "1"}


def test_errors_keep_their_traceback_and_status(server, tmp_path):
    done = run(program(tmp_path, "raise KeyError('gone')"), server[0])
    assert done.returncode == 1 and done.stderr.rstrip().endswith("KeyError: 'gone'")


def test_programs_that_need_the_network_and_dead_servers_are_left_alone(server, tmp_path):
    environment, process = server
    folder = program(tmp_path, SHOW)
    online = run(folder, {k: v for k, v in environment.items() if k != "HF_HUB_OFFLINE"}, "0")
    assert online.returncode == 0 and not json.loads(online.stdout)["preloaded"]
    nobody = run(folder, {**environment, preload.VARIABLE: str(tmp_path / "nobody")}, "0")
    assert nobody.returncode == 0 and not json.loads(nobody.stdout)["preloaded"]


def test_a_killed_program_takes_its_work_with_it_and_a_killed_worker_is_a_failure(server, tmp_path):
    environment, _ = server
    folder = program(tmp_path, "import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    environment = {**environment, "PYTHONPATH": f"{ROOT}:{folder}"}
    for kill_worker in (False, True):
        command = [sys.executable, "-m", "programs.one"]
        client = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
        worker = int(client.stdout.readline())
        assert worker != client.pid
        os.kill(worker if kill_worker else client.pid, signal.SIGKILL)
        assert client.wait(timeout=10) == (preload.LOST if kill_worker else -signal.SIGKILL)
        deadline = time.monotonic() + 10
        while Path(f"/proc/{worker}").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_program_that_is_told_to_stop_hands_it_on(server, tmp_path):
    environment, _ = server
    text = """
import signal, sys, time
def told(number, _):
    print(signal.Signals(number).name, flush=True)
    if number == signal.SIGTERM:
        sys.exit(5)
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, told)
print("ready", flush=True)
time.sleep(60)
"""
    folder = program(tmp_path, text)
    environment = {**environment, "PYTHONPATH": f"{ROOT}:{folder}"}
    command = [sys.executable, "-m", "programs.one"]
    client = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    assert client.stdout.readline() == "ready\n"
    for number in (signal.SIGUSR1, signal.SIGTERM):
        client.send_signal(number)
        assert client.stdout.readline() == f"{number.name}\n"
    assert client.wait(timeout=10) == 5
