"""Merge fine-tunings of one task into a soup."""

import functools
from collections.abc import Iterator

from graft.flops import one_shape
from graft.registry import methods
from graft.study.grid import Grid
from graft.study.grid_systems import System, one_shape_settings, statistic_of
from graft.study.sizes import Sizes
from graft.study.steps.finetune_model import FinetuneModel, classifier_bytes
from graft.study.steps.job import Job
from graft.study.steps.model_statistics import ModelStatistics
from graft.study.steps.models import weights
from graft.study.steps.passes import classifier_pass
from graft.study.steps.step import INFERENCE, Making, Step, Work, hash_of
from graft.study.steps.tokenize_task import tokens


class SoupModels(Making):
    rule = "soup_models"
    work_kind = "merging"

    def job(self, grid: Grid) -> Job:
        return Job.of("make_soups", vars(self))

    def inputs(self, grid: Grid) -> list[Step]:
        return merged(grid, self.task, self.spec(grid), self.seed)

    def hashed(self, grid: Grid) -> str:
        primary = grid.row(self.task).primary_metric
        return hash_of("soup", primary, *merged_hashed(grid, self.task, self.spec(grid), self.seed))

    def depends_on(self, grid: Grid) -> str:
        own = config_key(self.spec(grid))
        return f"{own}, systems.soup.members, tasks.{self.task}.metrics (the first), {INFERENCE}"

    def work(self, sizes: Sizes) -> Iterator[Work]:
        spec = self.spec(sizes.grid)
        shape, outputs = sizes.shape(spec.model), sizes.grid.row(self.task).outputs
        merge = functools.partial(one_shape.merge_flops, spec.method, shape, outputs)
        # A greedy soup tries every member but the best; count as if all of them were added.
        greedy, members = spec.method == methods.GREEDY, spec.settings.members
        tried = [*range(2, members + 1)] if greedy else [members] * len(one_shape_settings(spec)["strengths"])
        again = [members] if greedy or len(tried) > 1 else []
        yield Work(f"{self.name}/merge", sum(map(merge, tried + again)), "closed form")
        yield Work(f"{self.name}/select", len(tried) * classifier_pass(sizes, self.task, "select", spec.model))

    def bytes(self, sizes: Sizes) -> int:
        return classifier_bytes(sizes, self.task, self.spec(sizes.grid).model)


def merged(grid: Grid, task: str, system: System, seed: int | str) -> list[Step]:
    """All that a merge of models of one shape reads."""
    found: list[Step] = [weights(grid, system.model)]
    for one in grid.merged(task, system, seed):
        found += [FinetuneModel(*one), tokens(grid, one[0], system.model), *_statistics(system, one)]
    return found


def merged_hashed(grid: Grid, task: str, system: System, seed: int | str) -> list[object]:
    """All that a merge of models of one shape depends on, for fingerprints."""
    models = grid.merged(task, system, seed)
    steps = [*(FinetuneModel(*one) for one in models), *(step for one in models for step in _statistics(system, one))]
    found = [step.fingerprint(grid) for step in steps]
    return [one_shape_settings(system), *found, grid.study.launch.of_inference()]


def config_key(system: System) -> str:
    """The config key of a soup or a multitask system."""
    name = system.name.removeprefix(f"{system.kind}.").removesuffix(f".{system.model}")
    return f"systems.{system.kind}.methods.{name}"


def _statistics(system: System, one: tuple[str, str, int]) -> list[Step]:
    statistic = statistic_of(system)
    return [ModelStatistics(*one, statistic)] if statistic else []
