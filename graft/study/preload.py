"""Avoid import time: one process imports torch once and forks for every job on this machine.

A job of this workflow spends five to seven seconds of CPU time on imports, a fifth of a small study. While snakemake
runs, a local server (`serve`) keeps the packages imported; `python -m workflow_scripts.X` asks it (`run_there`) to fork
a process that runs that program with the same arguments, folder, environment, output and exit status. If there is no
server, or it refuses, the program runs as usual. Results do not depend on it. CPU only, since a forked process cannot
use CUDA; cluster jobs do not use it. No rule has a `benchmark:`, which would see only the waiting process: a step's
time and memory are in its build.json or manifest.json.
"""

import contextlib
import importlib
import io
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import IO, Any, NoReturn

from graft.compute import ending
from graft.io.workflow import ROOT

# Environment variable of jobs: path of the server's socket.
VARIABLE = "GRAFT_PRELOADED"
# Environment variable of snakemake: 0 disables preloading.
SWITCH = "GRAFT_PRELOAD"
MODULES = (
    "graft.making.merges",
    "graft.training.finetuning",
    "graft.merging.calibration",
    "graft.encoders.features",
)
# First byte sent by the process that takes a job; the exit status follows when the job ends.
TAKEN = b"T"
LOST = 137  # exit status of a killed process
_LENGTH = 8  # bytes of a request's length prefix


def start() -> None:
    """Start a server that lives as long as this process; child processes find it through `VARIABLE`.

    It listens first and then imports. Jobs that come earlier wait for it, no longer than their own imports would take.
    """
    if os.environ.get(SWITCH) == "0":
        return
    path = Path(tempfile.mkdtemp(prefix="graft-")) / "preload"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    # The server notices the end of this process as EOF on its stdin: no other process holds the pipe's write end.
    reader, _ = os.pipe()
    subprocess.Popen(
        [sys.executable, "-m", "graft.study.preload", str(path)],
        stdin=reader,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    os.close(reader)
    os.environ[VARIABLE] = str(path)


def run_there(module: str, arguments: list[str]) -> None:
    """Have the server run `python -m module arguments` and exit with its status; return if there is no server.

    Only for programs that run with the Hugging Face hub offline, since the server imported its packages that way.
    """
    path = os.environ.get(VARIABLE)
    if not path or os.environ.get("HF_HUB_OFFLINE") != "1":
        return
    request = {"module": module, "arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.connect(path)
            socket.send_fds(connection, [TAKEN], [0, 1, 2])
            text = json.dumps(request).encode()
            connection.sendall(len(text).to_bytes(_LENGTH) + text)
            if connection.recv(1) != TAKEN:
                return
        except OSError:
            return
        for number in ending.SIGNALS:
            signal.signal(number, lambda number, _: connection.sendall(bytes([number])))
        status = connection.recv(1)
    os._exit(status[0] if status else LOST)


def serve(path: Path) -> None:
    """Listen at `path`, import the packages, and fork for every job until stdin closes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(64)
        for module in MODULES:
            importlib.import_module(module)
        import torch

        from graft.compute import provenance
        from graft.tasks.metrics import evaluating

        evaluating()

        # Jobs run the code imported now, even if files are edited later; caching its version here puts it in run.json.
        provenance.code_version()
        # Children are reaped automatically.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while not torch.cuda.is_available():
            ready, _, _ = select.select([listener, sys.stdin.buffer], [], [])
            if sys.stdin.buffer in ready:
                break
            connection, _ = listener.accept()
            with connection:
                _, files, _, _ = socket.recv_fds(connection, 1, 3)
                if os.fork() == 0:
                    listener.close()
                    _run(connection, files)
                for file in files:
                    os.close(file)
    shutil.rmtree(path.parent, ignore_errors=True)


def _run(connection: socket.socket, files: list[int]) -> NoReturn:
    """Turn this forked process into the requested program."""
    ending.owns_process = False
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with connection.makefile("rb", buffering=0) as stream:
        size = int.from_bytes(_whole(stream, _LENGTH))
        request: dict[str, Any] = json.loads(_whole(stream, size))
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    del os.environ[VARIABLE]
    sys.path[0] = request["folder"]
    sys.argv[1:] = request["arguments"]
    connection.sendall(TAKEN)
    threading.Thread(target=_follow, args=[connection], daemon=True).start()
    status = 1
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(bytes([status & 255]))
        os._exit(status & 255)


def _whole(stream: io.RawIOBase | IO[bytes], size: int) -> bytes:
    """Read the next `size` bytes, in however many pieces they arrive."""
    found = b""
    while len(found) < size and (part := stream.read(size - len(found))):
        found += part
    return found


def _follow(connection: socket.socket) -> None:
    """Forward signals from the program that asked for this job, and exit if that program dies."""
    with contextlib.suppress(OSError):
        while number := connection.recv(1):
            os.kill(os.getpid(), number[0])
    os._exit(LOST)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
