"""Fit a linear head on a frozen model's states."""

from collections.abc import Iterator

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
        probe = grid.study.systems.probe
        return tuple(probe.ridge) if probe else ()

    def hashed(self, grid: Grid) -> str:
        ridge, primary = self.ridge(grid), grid.row(self.task).primary_metric
        states = self.states(grid).fingerprint(grid)
        return hash_of("probe", states, self.spec(grid).pooling, ridge, primary, recipe=_RECIPE)

    def depends_on(self, grid: Grid) -> str:
        return f"systems.probe.ridge, tasks.{self.task}.metrics (the first)"

    def work(self, sizes: Sizes) -> Iterator[Work]:
        grid = sizes.grid
        width, outputs = sizes.shape(self.spec(grid).model).width, grid.row(self.task).outputs
        train, select = (len(sizes.task(self.task).tokens[split]) for split in ("train", "select"))
        flops = count.ridge_flops(train, width, outputs, len(self.ridge(grid)), scored=select)
        yield Work(f"{self.system}/{self.task}/head", flops, "closed form")
