"""Merge the encoders of one seed's fine-tunings of all tasks into one."""

from collections.abc import Iterator
from dataclasses import dataclass

from graft.flops import one_shape
from graft.study.grid import Grid
from graft.study.grid_systems import one_shape_settings
from graft.study.sizes import Sizes
from graft.study.steps.job import Job
from graft.study.steps.passes import classifier_pass
from graft.study.steps.soup_models import config_key, merged, merged_hashed
from graft.study.steps.step import INFERENCE, NUMBER, STATES, Step, Work, hash_of


@dataclass(frozen=True)
class MergeEncoders(Step):
    system: str
    seed: int | str

    rule = "merge_encoders"
    made = "encoders/{system}/seed-{seed}/manifest.json"
    files = STATES
    temporary = True
    work_kind = "merging"

    def job(self, grid: Grid) -> Job:
        return Job.of("make_multitask", vars(self))

    def inputs(self, grid: Grid) -> list[Step]:
        return merged(grid, "", grid.systems[self.system], self.seed)

    def hashed(self, grid: Grid) -> str:
        primary = {task: spec.row(task).primary_metric for task, spec in grid.study.tasks.items()}
        return hash_of("encoder", primary, *merged_hashed(grid, "", grid.systems[self.system], self.seed))

    def depends_on(self, grid: Grid) -> str:
        return f"{config_key(grid.systems[self.system])}, tasks.*.metrics (the first), {INFERENCE}"

    def work(self, sizes: Sizes) -> Iterator[Work]:
        spec, tasks = sizes.grid.systems[self.system], sizes.grid.study.tasks
        tried, name = len(one_shape_settings(spec)["strengths"]), f"{self.system}/seed-{self.seed}"
        merge = one_shape.merge_flops(spec.method, sizes.shape(spec.model), None, len(tasks))
        select = sum(classifier_pass(sizes, task, "select", spec.model) for task in tasks)
        yield Work(f"{name}/merge", (tried + (tried > 1)) * merge, "closed form")
        yield Work(f"{name}/select", tried * select)

    def bytes(self, sizes: Sizes) -> int:
        return NUMBER * one_shape.parameters(sizes.shape(sizes.grid.systems[self.system].model), None)
