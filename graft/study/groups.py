"""Groups: jobs that go out to a cluster in one submission, and run there in turn. Imports no torch."""

from collections.abc import Mapping

from graft.config.launch import Launch
from graft.config.study import MEMBER_SEEDS, TRIAL_SEEDS
from graft.study.steps.job import PLACES

# What all seeds of a task share.
_OF_A_TASK = ("embed_task", "embed_layers", "calibrate", "make_probes")
FINETUNINGS = ("finetune_model", "budget_model", "warm_start")


def group_of(rule: str, wildcards: Mapping[str, str], launch: Launch) -> str | None:
    """Name of a job's group: task and seed, or what comes before or after these; None if it is submitted alone.

    Fine-tunings of several processes are submitted alone, since all else would hold their GPUs too.
    """
    if rule == "make_multitask":
        return "multitask"
    if rule in _OF_A_TASK:
        return f"{wildcards['task']}-all"
    if rule == "budget_model" and int(wildcards["seed"]) >= TRIAL_SEEDS and not launch.distributed:
        return f"{wildcards['task']}-trials"  # all seeds' fine-tunings wait for these
    if rule in FINETUNINGS and launch.distributed or rule not in (*PLACES, "model_statistics") or rule == "make_soups":
        return None
    seed = wildcards["seed"]
    # A soup's members have their own seeds.
    return f"{wildcards['task']}-{'members' if seed.isdecimal() and int(seed) >= MEMBER_SEEDS else seed}"
