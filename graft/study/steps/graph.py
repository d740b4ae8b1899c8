"""The graph of a study's steps."""

from collections.abc import Iterable

from graft.study.families import measured_tasks
from graft.study.grid import Grid
from graft.study.steps import tables
from graft.study.steps.calibrate import Calibrate
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.embed_layers import EmbedLayers
from graft.study.steps.embed_task import EmbedTask
from graft.study.steps.evaluate import Evaluate, evaluation
from graft.study.steps.making import MAKERS
from graft.study.steps.measure_cost import MeasureCost
from graft.study.steps.merge_encoders import MergeEncoders
from graft.study.steps.model_statistics import ModelStatistics
from graft.study.steps.models import BY_SOURCE
from graft.study.steps.step import Step
from graft.study.steps.sweep import Sweep
from graft.study.steps.tokenize_task import TokenizeTask

# All steps by their rules: a new one goes in here.
_ALL: list[type[Step]] = [DownloadTask, *BY_SOURCE.values(), TokenizeTask, EmbedTask, EmbedLayers, Calibrate, Sweep]
_ALL += [ModelStatistics, MergeEncoders, *MAKERS.values(), Evaluate, MeasureCost, tables.Gather, tables.Compare]
_ALL += [tables.TabulateCosts, tables.Plot, tables.Transfer, tables.Report]
STEPS = {step.rule: step for step in _ALL}


def of_study(grid: Grid) -> list[Step]:
    """All steps of a study from scratch, in an order in which inputs come first."""
    evaluations = map(evaluation, [*grid.runs, *grid.transfer_runs])
    return with_inputs(grid, [*evaluations, *measurements(grid), *tables.last(grid)])


def measurements(grid: Grid) -> list[Step]:
    """The steps that measure inference cost."""
    return [*map(MeasureCost, measured_tasks(grid))]


def with_inputs(grid: Grid, steps: Iterable[Step]) -> list[Step]:
    """These steps and all their inputs, each once, inputs first."""
    found: dict[Step, None] = {}

    def add(step: Step) -> None:
        if step not in found:
            for needed in step.inputs(grid):
                add(needed)
            found[step] = None

    for step in steps:
        add(step)
    return list(found)
