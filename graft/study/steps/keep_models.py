"""Choose each task's best merge, and delete the merges that were kept until then."""

from graft.config.study import BEST
from graft.registry import methods
from graft.study.grid import ALL_SEEDS, Grid
from graft.study.kin import measured_tasks
from graft.study.steps.evaluate import evaluation
from graft.study.steps.making import making
from graft.study.steps.measure_cost import MeasureCost
from graft.study.steps.step import Making, Step, hash_of


class KeepModels(Step):
    rule = "keep_models"
    local = True
    made = "kept.json"

    def candidates(self, grid: Grid) -> list[Making]:
        """The merges one of which is kept for each task: those of the first seed."""
        if BEST not in grid.study.keep:
            return []
        merges = [run for run in grid.runs if run.system.kind in methods.KINDS and run.system.labels is None]
        return [making(grid, *run.made) for run in merges if run.seed in (grid.study.seeds[0], ALL_SEEDS)]

    def inputs(self, grid: Grid) -> list[Step]:
        return [*map(evaluation, grid.runs), *map(MeasureCost, measured_tasks(grid))]

    def holds(self, grid: Grid) -> list[Making]:
        return [one for made in self.candidates(grid) for one in (made, *made.parts(grid))]

    def hashed(self, grid: Grid) -> str:
        return hash_of("keep", grid.study.keep, *(evaluation(run).fingerprint(grid) for run in grid.runs))
