import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from graft.compute import ending
from graft.io import files
from tests.conftest import write_bert

ROOT = Path(__file__).parents[3]
PYTHON = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
# Root may write anywhere, unless it gives that up.
POWERLESS = ["setpriv", "--inh-caps=-all", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
powerless = pytest.mark.skipif(bool(POWERLESS) and not shutil.which("setpriv"), reason="root, and no setpriv")
MAKING = """
import signal, sys, tempfile, time
# Under nohup or in the background of a script, as tests may run, a process is born with these ignored.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from graft.compute import ending
from graft.io import files
def main():
    with tempfile.TemporaryDirectory() as scratch, files.atomic_folder("model") as folder, files.atomic_file("a.csv"):
        (folder / "part").write_text("x")
        print("ready", flush=True)
        time.sleep(60)
ending.run("one", main)
"""


def python(code, folder, *before, **more):
    return subprocess.run(
        [*before, sys.executable, "-c", code], cwd=folder, env=PYTHON, capture_output=True, text=True, **more
    )


def refused(do):
    with pytest.raises(OSError) as error:
        do()
    told = ending.sentence(error.value)
    assert told and "\n" not in told and files.TEMPORARY not in told
    return told


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("mine")
    for made in (files.atomic_folder, files.atomic_file):
        told = refused(lambda made=made: made(tmp_path / "file" / "a" / "b").__enter__())
        assert told.startswith(f"{tmp_path / 'file'} is a file, not a folder, but is needed as one for")
    with pytest.raises(OSError) as error, files.atomic_folder(tmp_path / "file"):
        pass
    assert f"{tmp_path / 'file'} is a file, not a folder" == ending.sentence(error.value)
    assert (tmp_path / "file").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    assert refused((tmp_path / "").read_text) == f"{tmp_path} is a folder, not a file"
    with pytest.raises(OSError) as error, files.atomic_file(tmp_path / "x") as temporary:
        temporary.write_text("x")
        (tmp_path / "x").mkdir()
    assert ending.sentence(error.value) == f"{tmp_path / 'x'} is a folder, not a file"


def test_what_is_new_never_replaces_what_somebody_else_made_meanwhile(tmp_path):
    with pytest.raises(OSError) as error, files.atomic_folder(tmp_path / "out", new=True):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "theirs").touch()
    assert "out already exists" in ending.sentence(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and (tmp_path / "out" / "theirs").exists()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EROFS, "", "a/b"), "a/b is on a read-only file system; name another place"),
        (
            OSError(errno.EDQUOT, "", "a/b"),
            "a/b: your quota on its disk is exhausted; free some space, or name another place",
        ),
        (OSError(errno.EBUSY, "Device busy", "a/b"), "a/b: Device busy"),
        (FileNotFoundError("tables: no such table;\n make them"), "tables: no such table; make them"),
        (ValueError("seed: 7 is not one"), "seed: 7 is not one"),
        (KeyError("x"), None),
    ],
)
def test_only_a_fault_of_ours_has_no_sentence(error, told):
    assert ending.sentence(error) == told


def test_a_full_disk_says_what_is_free_and_what_else_to_do(tmp_path, monkeypatch):
    def told(number, name):
        return ending.sentence(OSError(number, "", str(tmp_path / name)))

    free = r"no space is left on its disk \([\d.]+ MB are free\); free some, or"
    assert re.fullmatch(f".*/new/x: {free} name another place", told(errno.ENOSPC, "new/x"))
    assert told(errno.EFBIG, "x").endswith("x: the file would exceed this process's size limit (ulimit -f)")
    # What a library writes in between is not where the user said.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert re.fullmatch(f".*/graft-1/x: {free} set TMPDIR to a folder with more space", told(errno.ENOSPC, "graft-1/x"))


@pytest.mark.parametrize(("there", "told"), [(False, "there is no such file or folder"), (True, "this user (uid ")])
def test_a_file_that_safetensors_cannot_open_is_missing_or_may_not_be_read(tmp_path, there, told):
    if there:
        (tmp_path / "x").touch()
    error = FileNotFoundError(f"No such file or directory: {tmp_path / 'x'}")
    assert ending.sentence(error).startswith(f"{tmp_path / 'x'}: {told}")


LIMITED = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
import numpy, pandas, torch
from tokenizers import Tokenizer, models
from safetensors.torch import save_file
from graft.compute import ending
from graft.io import files
WRITERS = {
    "python": lambda f: (f / "x.txt").write_text(30_000 * "x"),
    "safetensors": lambda f: save_file({"x": torch.zeros(10_000)}, f / "x.safetensors"),
    "torch": lambda f: torch.save(torch.zeros(10_000), f / "x.pt"),
    "tokenizers": lambda f: Tokenizer(models.WordLevel({str(i): i for i in range(9000)})).save(str(f / "x.json")),
    "pandas": lambda f: pandas.DataFrame({"x": numpy.random.rand(9000)}).to_parquet(f / "x.parquet"),
}
def main():
    with files.atomic_folder("model") as folder:
        WRITERS["%s"](folder)
ending.run("one", main)
"""


@pytest.mark.parametrize("writer", ["python", "safetensors", "torch", "tokenizers", "pandas"])
def test_a_disk_that_takes_no_more_is_one_line_whoever_writes(tmp_path, writer):
    # Nor would it take the coverage of this process.
    done = python(LIMITED % writer, tmp_path, "env", "--unset=COVERAGE_PROCESS_CONFIG")
    # torch does not say what it was.
    told = "its disk failed, or is full" if writer == "torch" else "the file would exceed this process's size limit"
    assert done.returncode == 1 and done.stderr.startswith(f"one: model: {told}") and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@powerless
def test_a_folder_that_may_not_be_written_in_is_named(tmp_path):
    tmp_path.chmod(0o555)
    code = "from graft.compute import ending; from graft.io import files; ending.run('one', lambda: {})"
    done = python(code.format("files.write_json('new/x.json', 1)"), tmp_path, *POWERLESS)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f"may not write to {tmp_path}; name another place, or change its permissions" in done.stderr
    checked = python(code.format("files.check_new(__import__('pathlib').Path('a/b'))"), tmp_path, *POWERLESS)
    assert checked.returncode == 1 and "one: a/b: this user (uid" in checked.stderr
    tmp_path.chmod(0o755)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_leaves_nothing_half_written(tmp_path, number):
    (tmp_path / "tmp").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", MAKING], cwd=tmp_path, env={**PYTHON, "TMPDIR": str(tmp_path / "tmp")},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, error = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert error == ("" if number == signal.SIGINT else f"stopped by {number.name}\n")
    assert [path.name for path in tmp_path.rglob("*")] == ["tmp"]


def test_a_signal_gives_its_own_status_where_stderr_is_closed(tmp_path):
    code = "import os, signal; from graft.compute import ending; "
    code += "ending.run('one', lambda: os.kill(os.getpid(), signal.SIGTERM))"
    done = subprocess.run(["bash", "-c", f'{sys.executable} -c "{code}" 2>&-'], cwd=tmp_path, env=PYTHON)
    assert done.returncode == 128 + signal.SIGTERM


def test_what_is_to_be_ignored_stays_ignored(tmp_path):
    code = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); from graft.compute import ending\n"
    code += "ending.run('one', lambda: print(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN))"
    assert python(code, tmp_path).stdout == "True\n"


def test_a_merge_that_is_asked_to_stop_leaves_no_scratch_model(tmp_path):
    write_bert(tmp_path / "large", layers=2, width=12, heads=2, seed=1)
    (tmp_path / "tmp").mkdir()
    # Nobody writes the text, so the merge waits for it, with the models in its scratch folder.
    os.mkfifo(tmp_path / "text")
    folders = [part for flag in ("large", "small-finetuned", "small-pretrained") for part in (f"--{flag}", "large")]
    command = [
        sys.executable,
        "-m",
        "graft",
        "merge",
        "--method",
        "theseus",
        *folders,
        "--text",
        "text",
        "--out",
        "out",
    ]
    process = subprocess.Popen(
        command, cwd=tmp_path, env={**PYTHON, "TMPDIR": str(tmp_path / "tmp")}, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("tmp/graft-*/--small-pretrained/manifest.json")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    process.terminate()
    assert process.wait(timeout=20) == 128 + signal.SIGTERM
    assert not list((tmp_path / "tmp").glob("graft-*")) and not (tmp_path / "out").exists()


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_what_is_written_has_the_mode_that_the_umask_asks_for(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        with files.atomic_folder(tmp_path / "model") as folder:
            save_file({"x": torch.zeros(3)}, folder / "model.safetensors")
            (folder / "inner").mkdir()
            save_file({"x": torch.zeros(3)}, folder / "inner" / "x.safetensors")
        with files.atomic_file(tmp_path / "x.safetensors") as temporary:
            save_file({"x": torch.zeros(3)}, temporary)
    finally:
        os.umask(before)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 3 and {path.stat().st_mode & 0o777 for path in written} == {mode}


def test_output_that_nobody_reads_is_no_error(tmp_path):
    much = "[print(9000 * 'x', flush=True) for _ in range(99)]"
    code = f"from graft.compute import ending\nending.run('one', lambda: {much})"
    done = subprocess.run(
        f"{sys.executable} -c \"{code}\" | head -c 1; exit ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", cwd=tmp_path, env=PYTHON, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGPIPE, "x", "")


def test_output_that_is_closed_or_has_no_such_letter_is_no_error(tmp_path):
    code = "from graft.compute import ending; ending.run('one', lambda: print('\\u0394'))"
    closed = subprocess.run(
        ["bash", "-c", f'{sys.executable} -c "{code}" >&-'], cwd=tmp_path, env=PYTHON, capture_output=True, text=True
    )
    assert (closed.returncode, closed.stderr) == (0, "")
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={**PYTHON, "PYTHONIOENCODING": "ascii"}, capture_output=True
    )
    assert (told.returncode, told.stdout) == (0, b"?\n")
