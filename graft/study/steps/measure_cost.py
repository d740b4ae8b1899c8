"""Measure the inference costs of the architectures of a task's systems."""

from collections.abc import Iterator
from dataclasses import dataclass

from graft.study.grid import Grid, Run
from graft.study.kin import kin
from graft.study.sizes import Sizes
from graft.study.steps.evaluate import system_pass
from graft.study.steps.locate_tokens import pair_tokens
from graft.study.steps.making import making
from graft.study.steps.step import Making, Step, Work, hash_of
from graft.study.steps.tokenize_task import tokens


@dataclass(frozen=True)
class MeasureCost(Step):
    task: str

    rule = "measure_cost"
    made = "costs/{task}.json"
    place = "{task}"
    work_kind = "measuring"

    def runs(self, grid: Grid) -> list[Run]:
        """The runs whose models are measured: one of all kin."""
        return [one.run for one in kin(grid, self.task)]

    def inputs(self, grid: Grid) -> list[Step]:
        runs = self.runs(grid)
        made: list[Step] = [making(grid, *run.made) for run in runs]
        read: list[Step] = [tokens(grid, self.task, grid.reads_as(run.system)) for run in runs]
        both = (grid.runs_both(run.system) for run in runs)
        read += [step for pair in both if pair for step in pair_tokens(grid, self.task, pair)]
        return list(dict.fromkeys([*made, *read]))

    def loads(self, grid: Grid) -> list[Making]:
        made = super().loads(grid)
        return list(dict.fromkeys([*made, *(part for one in made for part in one.parts(grid))]))

    def hashed(self, grid: Grid) -> str:
        made = {run.id: making(grid, *run.made).fingerprint(grid) for run in self.runs(grid)}
        settings = grid.study.cost.model_dump(exclude={"measure"})
        return hash_of("measure", made, settings, grid.study.launch.of_inference())

    def work(self, sizes: Sizes) -> Iterator[Work]:
        # Each round runs the texts four times (singly and in batches, as warm-up and timed), and the memory
        # measurement runs them once.
        settings, rows = sizes.grid.study.cost, len(sizes.task(self.task).tokens["report"])
        once = sum(system_pass(sizes, self.task, run.system.name) for run in self.runs(sizes.grid))
        flops = (4 * settings.rounds + 1) * once * min(settings.texts, rows) // rows
        yield Work(f"{self.rule}/{self.task}", flops)
