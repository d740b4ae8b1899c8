import pytest

from graft.config.launch import Launch

OLDEST = {"device": "auto", "precision": "auto", "threads": 1}


def test_a_result_depends_on_a_setting_of_many_processes_only_where_it_is_set():
    """What was made before these settings came stays valid: they are no part of its fingerprint."""
    assert Launch().of_finetuning() == Launch(gpus=1).of_finetuning() == OLDEST
    assert Launch(strategy="zero2", tf32=False).of_finetuning() == OLDEST | {"strategy": "zero2", "tf32": False}


@pytest.mark.parametrize("same", [{"gpus": 4}, {"gpus": 2, "nodes": 2}, {"nodes": 4}])
def test_processes_count_and_not_where_they_run(same):
    assert Launch(**same).of_finetuning() == OLDEST | {"processes": 4}


@pytest.mark.parametrize("changes", [{"checkpoint_minutes": 3}, {"trackers": ("wandb",)}])
def test_what_changes_no_result_is_no_part_of_it(changes):
    assert Launch(**changes).of_finetuning() == OLDEST


def test_a_job_of_one_process_has_no_gpu_where_the_study_is_on_cpus():
    assert (Launch(device="cpu").gpus_of_a_job, Launch().gpus_of_a_job) == (0, 1)


def test_alone_is_the_same_launch_in_one_process():
    many = Launch(device="cpu", gpus=2, nodes=3, strategy="zero3", threads=5, pass_tokens=64)
    assert (many.processes, many.stage, many.distributed) == (6, 3, True)
    alone = many.alone()
    assert (alone.processes, alone.stage, alone.distributed) == (1, 0, False)
    assert alone == Launch(device="cpu", threads=5, pass_tokens=64)


def test_one_process_of_deepspeed_is_distributed_too():
    assert Launch(strategy="zero1").distributed and not Launch(gpus=1).distributed
