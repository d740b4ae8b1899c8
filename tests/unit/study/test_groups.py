import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from graft.config.launch import Launch
from graft.config.study import MEMBER_SEEDS, TRIAL_SEEDS, load
from graft.study.grid import Grid
from graft.study.groups import group_of
from graft.study.steps import graph
from graft.study.steps.job import wildcard_names

ROOT = Path(__file__).parents[3]
ONE, TWO = Launch(), Launch(gpus=2)


@pytest.mark.parametrize(
    ("rule", "wildcards", "launch", "group"),
    [
        ("finetune_model", {"task": "rte", "system": "lora.big", "seed": "3"}, ONE, "rte-3"),
        ("make_systems", {"task": "rte", "seed": "3"}, ONE, "rte-3"),
        ("budget_model", {"task": "rte", "model": "big", "seed": "3"}, ONE, "rte-3"),
        ("budget_model", {"task": "rte", "model": "big", "seed": "3"}, TWO, None),
        # All seeds wait for it.
        ("budget_model", {"task": "rte", "model": "big", "seed": str(TRIAL_SEEDS + 1)}, ONE, "rte-trials"),
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


def test_the_default_study_is_few_jobs_and_fewer_submissions():
    """A job loads torch and models, a submission waits in the queue; both were thousands."""
    grid = Grid(load(ROOT / "config.yaml"))
    alone = [step for step in graph.of_study(grid) if not step.job(grid)]
    jobs = {
        (job.rule, str(job)): dict(zip(wildcard_names(job.rule), job.values, strict=True))
        for job in graph.jobs_of(grid)
    }
    jobs |= {(step.rule, str(step)): {name: str(value) for name, value in vars(step).items()} for step in alone}
    assert len(jobs) <= 450
    text = "\n".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    bodies = re.findall(r"^(?:use )?rule (\w+)(.*?)(?=^(?:use )?rule |\Z)", text, re.MULTILINE | re.DOTALL)
    local = {rule for rule, body in bodies if "localrule: True" in body}
    assert {step.rule for step in alone if step.local} == local & {step.rule for step in alone}
    sent = {
        group_of(rule, values, grid.study.launch) or name for (rule, name), values in jobs.items() if rule not in local
    }
    assert len(sent) <= 60


def test_submissions_wait_for_one_another_in_no_circle():
    """A merge of another task's model waits for that task, whose own may wait for this one's."""
    grid, waits = Grid(load(ROOT / "config.yaml")), {}

    def submission(step):
        job = step.job(grid) or step
        names = wildcard_names(job.rule) if step.job(grid) else job.wildcard_names()
        values = job.values if step.job(grid) else map(str, job.wildcards)
        return group_of(job.rule, dict(zip(names, values, strict=True)), grid.study.launch) or str(job)

    for step in graph.of_study(grid):
        waits.setdefault(submission(step), set()).update(map(submission, step.inputs(grid)))
    order = [*TopologicalSorter({own: needed - {own} for own, needed in waits.items()}).static_order()]
    assert order.index("sst2-0") < order.index("multitask") and order.index("stsb-0") < order.index("multitask")
