"""Fit a linear head on a frozen model's states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from graft.flops import counts as count
from graft.study.grid import ALL_SEEDS, Grid
from graft.study.sizes import Sizes
from graft.study.steps.embed_task import EmbedTask
from graft.study.steps.models import weights
from graft.study.steps.step import Making, Step, Work, hash_of

_RECIPE = 4


class Probe(Making):
    rule = "probe"
    files = None  # a head alone
    work_kind = "probes"

    @classmethod
    def wildcard_names(cls) -> tuple[str, ...]:
        return ("task", "model", "pooling")

    @classmethod
    def of(cls, values: Mapping[str, str]) -> Probe:
        return cls(values["task"], f"probe.{values['pooling']}.{values['model']}", ALL_SEEDS)

    @property
    def wildcards(self) -> tuple[str, ...]:
        _, pooling, model = self.system.split(".", 2)
        return (self.task, model, pooling)

    def states(self, grid: Grid) -> EmbedTask:
        return EmbedTask(self.task, self.spec(grid).model)

    def inputs(self, grid: Grid) -> list[Step]:
        return [weights(grid, self.spec(grid).model), self.states(grid)]

    def _ridge(self, grid: Grid) -> tuple[float, ...]:
        probe = grid.study.systems.probe
        return tuple(probe.ridge) if probe else ()

    def hashed(self, grid: Grid) -> str:
        ridge, primary = self._ridge(grid), grid.row(self.task).primary_metric
        states = self.states(grid).fingerprint(grid)
        return hash_of("probe", states, self.spec(grid).pooling, ridge, primary, recipe=_RECIPE)

    def depends_on(self, grid: Grid) -> str:
        return f"systems.probe.ridge, tasks.{self.task}.metrics (the first)"

    def work(self, sizes: Sizes) -> Iterator[Work]:
        grid = sizes.grid
        width, outputs = sizes.shape(self.spec(grid).model).width, grid.row(self.task).outputs
        train, select = (len(sizes.task(self.task).tokens[split]) for split in ("train", "select"))
        flops = count.ridge_flops(train, width, outputs, len(self._ridge(grid)), scored=select)
        yield Work(f"{self.system}/{self.task}/head", flops, "closed form")
