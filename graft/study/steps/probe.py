"""Fit a linear head on a frozen model's states."""

from collections.abc import Iterator
from typing import Any

from graft.config.systems import ProbeSystems
from graft.flops import counts as count
from graft.study.grid import Grid
from graft.study.sizes import Sizes
from graft.study.steps.embed_task import EmbedTask
from graft.study.steps.job import Job
from graft.study.steps.models import weights
from graft.study.steps.step import Making, Step, Work, hash_of

_RECIPE = 4


class Probe(Making):
    rule = "probe"
    files = None  # a head alone
    work_kind = "probes"

    def job(self, grid: Grid) -> Job:
        return Job.of("make_probes", vars(self))

    def states(self, grid: Grid) -> EmbedTask:
        return EmbedTask(self.task, self.spec(grid).model)

    def inputs(self, grid: Grid) -> list[Step]:
        return [weights(grid, self.spec(grid).model), self.states(grid)]

    def ridge(self, grid: Grid) -> tuple[float, ...]:
        return (grid.study.systems.probe or ProbeSystems()).ridge

    def prefix(self, grid: Grid) -> str:
        """Prefix of the names of its own parts of work: one for all seeds, but where labels are drawn."""
        return f"{self.system}/{self.task}" if self.spec(grid).labels is None else self.name

    def seen(self, grid: Grid) -> list[Any]:
        """What its fingerprint says of labels: nothing if it sees all."""
        return [] if self.spec(grid).labels is None else [self.spec(grid).labels, self.seed]

    def hashed(self, grid: Grid) -> str:
        ridge, primary = self.ridge(grid), grid.row(self.task).primary_metric
        states = self.states(grid).fingerprint(grid)
        own = [self.spec(grid).pooling, ridge, primary, *self.seen(grid)]
        return hash_of("probe", states, *own, recipe=_RECIPE)

    def depends_on(self, grid: Grid) -> str:
        return f"systems.probe.ridge, tasks.{self.task}.metrics (the first)"

    def work(self, sizes: Sizes) -> Iterator[Work]:
        grid, sizes = sizes.grid, sizes.seeing(self.spec(sizes.grid).labels)
        width, outputs = sizes.shape(self.spec(grid).model).width, grid.row(self.task).outputs
        train, select = (len(sizes.task(self.task).tokens[split]) for split in ("train", "select"))
        flops = count.ridge_flops(train, width, outputs, len(self.ridge(grid)), scored=select)
        yield Work(f"{self.prefix(grid)}/head", flops, "closed form")
