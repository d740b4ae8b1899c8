"""Doing a study's steps in this process, as its programs do."""

from graft.io import files
from graft.study import program, working
from graft.study.grid import Grid
from graft.study.paths import Paths
from graft.study.steps import graph
from graft.study.steps.evaluate import evaluation
from graft.study.steps.step import Step


def run(grid: Grid, paths: Paths, step: Step) -> None:
    """Do a step, whose inputs are done."""
    working.do(step, grid, paths, program.make)


def finish(grid: Grid, paths: Paths) -> None:
    """Make all runs of a study, from nothing to every run.json."""
    files.write_json(paths.study, grid.study.model_dump(mode="json", by_alias=True))
    for step in graph.with_inputs(grid, [evaluation(run) for run in grid.runs]):
        run(grid, paths, step)
