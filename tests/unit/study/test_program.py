import subprocess
import sys

import pytest
import torch

from graft.study import program


def test_a_config_that_changed_after_scheduling_is_refused():
    program.check_fingerprint("a", "a", "x")
    with pytest.raises(ValueError, match="study.json changed after this job was scheduled"):
        program.check_fingerprint("a", "b", "x")


def test_bad_input_ends_in_one_line_and_our_own_faults_keep_their_traceback(capsys):
    def bad():
        raise ValueError("labels: 7 is not a class")

    def fault():
        raise KeyError("x")

    with pytest.raises(SystemExit):
        program.call(bad)
    assert capsys.readouterr().err.strip().endswith("labels: 7 is not a class")
    with pytest.raises(KeyError):
        program.call(fault)


def test_a_program_that_is_done_leaves_the_processes_it_talked_to():
    def talk():
        torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)

    program.call(talk)
    assert not torch.distributed.is_initialized()


def test_a_program_that_is_done_ends_at_once_with_its_output_and_exit_functions():
    code = """
import atexit, sys, threading, time
from graft.study import program
atexit.register(print, "left")
threading.Thread(target=time.sleep, args=[60]).start()
program.run(lambda: print("done"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "done\nleft\n"), done.stderr


def test_a_program_that_failed_does_not_end_as_if_it_were_done():
    code = "from graft.study import program\ndef main():\n    raise ValueError('no tokens')\nprogram.run(main)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.endswith("no tokens\n")
