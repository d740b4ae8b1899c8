"""The last steps, which read finished runs: tables, figures and the report."""

from pathlib import Path

from graft.study.grid import Grid
from graft.study.kin import measured_tasks
from graft.study.paths import Paths
from graft.study.steps.evaluate import evaluation
from graft.study.steps.keep_models import KeepModels
from graft.study.steps.measure_cost import MeasureCost
from graft.study.steps.step import Step, hash_of


class Gather(Step):
    """Gather all run.json into one table."""

    rule = "gather"
    local = True
    made = "tables/runs.csv"

    def inputs(self, grid: Grid) -> list[Step]:
        return [*map(evaluation, grid.runs)]

    def hashed(self, grid: Grid) -> str:
        return hash_of("gather", *(step.fingerprint(grid) for step in self.inputs(grid)))


class Compare(Step):
    """Compare every system with the reference, with intervals and tests."""

    rule = "compare"
    local = True
    made = "tables/comparison.csv"

    def inputs(self, grid: Grid) -> list[Step]:
        return [Gather()]

    def outputs(self, grid: Grid, paths: Paths) -> list[Path]:
        others = ["comparison.md", "comparison.html", "comparison.tex", "significance.csv", "aggregate.csv"]
        others += ["matched.csv", "answer.csv"]
        others += ["warm-start.csv"] if grid.study.systems.warm_start else []
        return [self.output(paths), *(paths.tables / name for name in others)]


class TabulateCosts(Step):
    """Put training cost and what was measured of inference into one table."""

    rule = "tabulate_costs"
    local = True
    made = "tables/cost.csv"

    def inputs(self, grid: Grid) -> list[Step]:
        return [Gather(), *map(MeasureCost, measured_tasks(grid))]


class Plot(Step):
    """Draw the figures; the data decide which, so that its output is a folder."""

    rule = "plot"
    local = True
    made = "figures"

    def inputs(self, grid: Grid) -> list[Step]:
        return [Compare()]


class Transfer(Step):
    """Tabulate the systems on data sets that they were not trained for."""

    rule = "transfer"
    local = True
    made = "tables/transfer.csv"

    def inputs(self, grid: Grid) -> list[Step]:
        return [*map(evaluation, grid.transfer_runs)]

    def hashed(self, grid: Grid) -> str:
        return hash_of("transfer", *(step.fingerprint(grid) for step in self.inputs(grid)))


class Report(Step):
    """Write the page that tells what came out."""

    rule = "report"
    local = True
    made = "report.html"

    def inputs(self, grid: Grid) -> list[Step]:
        return [step for step in last(grid) if not isinstance(step, Report | KeepModels)]

    def reads(self, grid: Grid, paths: Paths) -> list[Path]:
        return [path for step in self.inputs(grid) for path in step.outputs(grid, paths)]


def last(grid: Grid) -> list[Step]:
    """The last steps of a study, in order."""
    found: list[Step] = [Gather(), Compare(), TabulateCosts(), Plot(), *([Transfer()] if grid.transfers else [])]
    return [*found, Report(), KeepModels()]
