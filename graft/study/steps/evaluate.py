"""Run a finished system over `report`, which ends a run."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graft.encoders.batches import padded_lengths
from graft.flops import counts as count
from graft.io import files
from graft.study.grid import Grid, Run
from graft.study.paths import Paths
from graft.study.sizes import Sizes
from graft.study.steps.download_task import DownloadTask
from graft.study.steps.job import Job
from graft.study.steps.locate_tokens import pair_tokens
from graft.study.steps.making import making
from graft.study.steps.passes import classifier_flops, classifier_pass
from graft.study.steps.step import RECIPE, RECORDS, Making, Step, Work, hash_of
from graft.study.steps.tokenize_task import tokens, tokens_for

# Bytes of a prediction, and of a run's run.json, build.json and training logs, as measured in a finished study.
_PREDICTION = 18
_RUN = 7_000
# What a run costs is counted otherwise than by RECIPE; its predictions are the same.
_RECIPE = 4


@dataclass(frozen=True)
class Evaluate(Step):
    task: str
    system: str
    seed: int | str

    rule = "evaluate"
    made = "runs/{task}/{system}/seed-{seed}/run.json"
    files = RECORDS
    work_kind = "evaluation"

    def making(self, grid: Grid) -> Making:
        """The step that made the system, on the same task or on that of a transfer."""
        return making(grid, grid.trained_on(self.task), self.system, self.seed)

    def _tokens(self, grid: Grid) -> list[Step]:
        system = grid.systems[self.system]
        both = grid.runs_both(system)
        return pair_tokens(grid, self.task, both) if both else [tokens(grid, self.task, grid.reads_as(system))]

    def job(self, grid: Grid) -> Job | None:
        return self.making(grid).job(grid)

    def loads(self, grid: Grid) -> list[Making]:
        made = self.making(grid)
        return [made, *made.parts(grid)]

    def needs(self, grid: Grid, paths: Paths) -> list[Making]:
        return [] if self.only_scores(grid, paths) else self.loads(grid)

    def only_scores(self, grid: Grid, paths: Paths) -> bool:
        """Whether its predictions are there, by the same system, and only metrics or accounts have changed since."""
        path, predictions = self.outputs(grid, paths)
        if not (path.is_file() and predictions.is_file()):
            return False
        record = files.read_json(path)
        made = record["provenance"]
        known = (self.hashed_with(grid, tuple(record["metrics"]), recipe) for recipe in (RECIPE, _RECIPE))
        same = made["fingerprint"] in known
        return same and made.get("predictions_sha256") == files.sha256(predictions)

    def inputs(self, grid: Grid) -> list[Step]:
        return [self.making(grid), DownloadTask(self.task), *self._tokens(grid)]

    def reads(self, grid: Grid, paths: Paths) -> list[Path]:
        made, _, *read = (step.declared(grid, paths) for step in self.inputs(grid))
        return [made, DownloadTask(self.task).answers(paths), *read]

    def outputs(self, grid: Grid, paths: Paths) -> list[Path]:
        return [self.output(paths), self.output(paths).with_name("predictions.parquet")]

    def recorded(self, paths: Paths) -> str | None:
        output = self.output(paths)
        return files.read_json(output)["provenance"]["fingerprint"] if output.is_file() else None

    def hashed(self, grid: Grid) -> str:
        return self.hashed_with(grid, grid.row(self.task).metrics)

    def hashed_with(self, grid: Grid, metrics: Sequence[str], recipe: int = _RECIPE) -> str:
        """The fingerprint with other metrics, which need no other predictions."""
        inputs: list[Any] = [self.making(grid).fingerprint(grid), metrics]
        if self.task in grid.transfers:
            inputs += tokens_for(grid, self.task, grid.reads_as(grid.systems[self.system]))
            inputs += [step.fingerprint(grid) for step in self._tokens(grid)[1:]]
        return hash_of("evaluate", *inputs, recipe=recipe)

    def depends_on(self, grid: Grid) -> str:
        if self.task not in grid.transfers:
            return f"tasks.{self.task}.metrics"
        name, spec = grid.transfers[self.task]
        return f"tasks.{spec.task}.metrics, transfer.{name}.max_tokens"

    def work(self, sizes: Sizes) -> Iterator[Work]:
        flops = system_pass(sizes, self.task, self.system)
        yield Work(f"evaluate/{self.task}/{self.system}/seed-{self.seed}", flops)

    def bytes(self, sizes: Sizes) -> int:
        return _PREDICTION * len(sizes.task(self.task).tokens["report"]) + _RUN


def evaluation(run: Run) -> Evaluate:
    """The last step of a run, which writes run.json."""
    return Evaluate(run.task, run.system.name, run.seed)


@functools.cache  # the same for every seed
def system_pass(sizes: Sizes, task: str, system: str) -> int:
    """FLOPs of one pass of a system over a task's report split."""
    grid, spec = sizes.grid, sizes.grid.systems[system]
    outputs, lengths = grid.row(task).outputs, sizes.lengths(task, "report", grid.reads_as(spec))
    if spec.program == "ensemble":
        return spec.settings.members * classifier_pass(sizes, task, "report", spec.model)
    if not spec.merge:
        models = [spec.model] if spec.model else [spec.pair.large] if spec.pair else []
        return sum(classifier_flops(sizes.shape(model), outputs, lengths) for model in models)
    small, large = sizes.shapes(spec.own_pair.name)
    answers = functools.partial(grid.merges[spec.merge].options.answers, small, large, outputs=outputs)
    # The form that is chosen is not known yet: take the mean over all.
    forms = len(answers(tokens=1))
    return count.summed_flops(lambda t: sum(answers(tokens=t)), padded_lengths(lengths)) // forms
