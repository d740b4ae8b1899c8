import pytest

from graft.config.launch import Launch
from graft.config.study import MEMBER_SEEDS
from graft.study.groups import group_of

ONE, TWO = Launch(), Launch(gpus=2)


@pytest.mark.parametrize(
    ("rule", "wildcards", "launch", "group"),
    [
        ("finetune_model", {"task": "rte", "system": "lora.big", "seed": "3"}, ONE, "rte-3"),
        ("make_systems", {"task": "rte", "seed": "3"}, ONE, "rte-3"),
        ("make_systems", {"task": "rte", "seed": "all"}, ONE, "rte-all"),
        ("embed_task", {"task": "rte", "model": "big"}, ONE, "rte-all"),
        ("finetune_model", {"task": "rte", "system": "member.big", "seed": str(MEMBER_SEEDS)}, ONE, "rte-members"),
        ("make_multitask", {"seed": "3"}, ONE, "multitask"),
        ("make_soups", {"task": "rte"}, ONE, None),
        ("measure_cost", {"task": "rte"}, ONE, None),
        ("download_task", {"task": "rte"}, ONE, None),
        # All else in the group would hold its GPUs.
        ("finetune_model", {"task": "rte", "system": "lora.big", "seed": "3"}, TWO, None),
        ("make_systems", {"task": "rte", "seed": "3"}, TWO, "rte-3"),
    ],
)
def test_jobs_of_one_task_and_seed_are_submitted_together(rule, wildcards, launch, group):
    assert group_of(rule, wildcards, launch) == group
