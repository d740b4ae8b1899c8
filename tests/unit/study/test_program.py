import pytest
import torch

from graft.compute import hardware
from graft.config.launch import Launch
from graft.io.progress import along
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


def test_a_gpu_that_is_asked_for_must_be_there(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert hardware.device_of(Launch(device="auto")) == "cpu"
    with pytest.raises(ValueError, match="torch sees no GPU"):
        hardware.device_of(Launch(device="cuda"))
    assert hardware.device_of(hardware.on_cpu(Launch(device="cuda"))) == "cpu"


def test_precision_is_what_was_asked_for():
    assert hardware.precision_of(Launch(precision="fp32", device="cpu")) == "fp32"
    assert hardware.precision_of(Launch(precision="auto", device="cpu")) in ("fp32", "bf16")


def test_a_step_of_unknown_length_is_told_in_a_log_as_it_begins(capsys):
    with program.progress("merge") as report:
        report(0, 0, "fitting the head")
        assert capsys.readouterr().err.endswith(" merge fitting the head\n")


def test_what_is_gone_along_is_told_before_each_item_and_at_the_end():
    told = []
    seen = list(along("ab", lambda *report: told.append(report), "letters"))
    assert seen == ["a", "b"] and told == [(0, 2, "letters"), (1, 2, "letters"), (2, 2, "letters")]


def test_progress_in_a_log_is_a_line_for_the_end_at_least(capsys):
    with program.progress("finetune.x") as report:
        for step in range(5):
            report(step + 1, 5, "loss 0.1")
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].endswith("finetune.x 5/5 loss 0.1") and len(lines) <= 2
