"""The graph of a study's steps."""

from collections.abc import Iterable
from pathlib import Path

from graft.io import files
from graft.study.grid import Grid
from graft.study.kin import measured_tasks
from graft.study.paths import Paths
from graft.study.steps import tables
from graft.study.steps.calibrate import Calibrate
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.embed_layers import EmbedLayers
from graft.study.steps.embed_task import EmbedTask
from graft.study.steps.evaluate import Evaluate, evaluation
from graft.study.steps.job import Job
from graft.study.steps.keep_models import KeepModels
from graft.study.steps.locate_tokens import LocateTokens
from graft.study.steps.making import MAKERS
from graft.study.steps.measure_cost import MeasureCost
from graft.study.steps.merge_encoders import MergeEncoders
from graft.study.steps.model_statistics import ModelStatistics
from graft.study.steps.models import BY_SOURCE
from graft.study.steps.step import Making, Step, hash_of
from graft.study.steps.sweep import Sweep
from graft.study.steps.tokenize_task import TokenizeTask
from graft.study.steps.train_joint import TrainJoint

# All steps by their rules: a new one goes in here.
_ALL: list[type[Step]] = [DownloadTask, *BY_SOURCE.values(), TokenizeTask, LocateTokens, EmbedTask, EmbedLayers]
_ALL += [Calibrate, Sweep, ModelStatistics, MergeEncoders, TrainJoint, *MAKERS.values(), Evaluate, MeasureCost]
_ALL += [tables.Gather, tables.Compare, tables.TabulateCosts, tables.Plot, tables.Transfer, tables.Report, KeepModels]
STEPS = {step.rule: step for step in _ALL}


def jobs_of(grid: Grid) -> dict[Job, list[Step]]:
    """The jobs of several steps, and the steps of each.

    Inputs come first, steps that share maps follow one another, and every system is evaluated once it is made.
    """
    if not grid.jobs:
        evaluations: dict[Step, list[Step]] = {}
        for step in of_study(grid):
            if isinstance(step, Evaluate):
                evaluations.setdefault(step.making(grid), []).append(step)
        together: dict[Job, dict[object, list[Step]]] = {}
        for step in of_study(grid):
            if not isinstance(step, Evaluate) and (job := step.job(grid)):
                sharing = together.setdefault(job, {}).setdefault(step.shares(grid), [])
                sharing += (step, *evaluations.pop(step, ()))
        grid.jobs |= {job: sum(groups.values(), []) for job, groups in together.items()}
    return grid.jobs


def job_fingerprint(grid: Grid, job: Job) -> str:
    """Hash of the fingerprints of a job's steps."""
    return hash_of(str(job), *(step.fingerprint(grid) for step in jobs_of(grid)[job]))


def job_reads(grid: Grid, paths: Paths, job: Job, left: set[Step]) -> list[Path]:
    """Files that a job's steps read from other jobs, inputs of its rule; states only where a step that is left does."""
    own, found = job.marker(paths), dict[Path, None]()
    for step in jobs_of(grid)[job]:
        states = {other.output(paths) for other in step.inputs(grid) if other.temporary and step not in left}
        found |= dict.fromkeys(path for path in step.reads(grid, paths) if path not in states)
    return [path for path in found if path != own]


def left(steps: Iterable[Step], grid: Grid, paths: Paths) -> set[Step]:
    """Those of these steps, inputs first, that are not done; states only if one of them reads these."""
    steps = [step for step in steps if step not in tables.last(grid)]
    found: set[Step] = set()
    for step in steps:
        made = (other for other in step.inputs(grid) if isinstance(other, Making))
        if not step.temporary and (any(other in found for other in made) or not step.is_done(grid, paths)):
            found.add(step)
    read = {other for step in found for other in step.inputs(grid)}
    for step in reversed(steps):
        if step.temporary and step in read and not step.is_done(grid, paths):
            found.add(step)
            read.update(step.inputs(grid))
    return found


def forget_incomplete(grid: Grid, paths: Paths) -> None:
    """Delete the markers of jobs that lack an output of one of their steps, or have another, so that Snakemake makes it
    again. Those of another config it sees itself."""
    for job, steps in jobs_of(grid).items():
        marker = job.marker(paths)
        if not marker.is_file() or files.read_json(marker)["fingerprint"] != job_fingerprint(grid, job):
            continue
        if any(step.recorded(paths) != step.fingerprint(grid) for step in steps if not step.temporary):
            marker.unlink()


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
