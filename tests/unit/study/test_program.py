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
        program.run(bad)
    assert capsys.readouterr().err.strip().endswith("labels: 7 is not a class")
    with pytest.raises(KeyError):
        program.run(fault)


def test_a_program_that_is_done_leaves_the_processes_it_talked_to():
    def talk():
        torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)

    program.run(talk)
    assert not torch.distributed.is_initialized()
