"""Compute the Fisher diagonal or the Gram matrices of a fine-tuned model, for merges of models of one shape."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from graft.encoders.batches import padded_lengths
from graft.flops import counts as count
from graft.flops import one_shape
from graft.study.grid import Grid
from graft.study.sizes import Sizes
from graft.study.steps.finetune_model import FinetuneModel
from graft.study.steps.step import INFERENCE, NUMBER, STATES, Step, Work, hash_of
from graft.study.steps.tokenize_task import tokens, tokens_for


@dataclass(frozen=True)
class ModelStatistics(Step):
    task: str
    system: str
    seed: int | str
    statistic: str

    rule = "model_statistics"
    made = "model-statistics/{task}/{system}/seed-{seed}/{statistic}/manifest.json"
    files = STATES
    temporary = True
    work_kind = "calibration"

    def model(self, grid: Grid) -> str:
        return grid.systems[self.system].model

    @property
    def tuned(self) -> FinetuneModel:
        return FinetuneModel(self.task, self.system, self.seed)

    def inputs(self, grid: Grid) -> list[Step]:
        return [self.tuned, tokens(grid, self.task, self.model(grid))]

    def hashed(self, grid: Grid) -> str:
        inputs = [self.tuned.fingerprint(grid), tokens_for(grid, self.task, self.model(grid))]
        settings = [self.statistic, grid.study.calibration.examples]
        return hash_of("model_statistics", *settings, *inputs, grid.study.launch.of_inference())

    def depends_on(self, grid: Grid) -> str:
        return f"calibration.examples, models.*.finetune.{self.task}.max_tokens, {INFERENCE}"

    def work(self, sizes: Sizes) -> Iterator[Work]:
        model, outputs = self.model(sizes.grid), sizes.grid.row(self.task).outputs
        lengths = sizes.lengths(self.task, "train", model)
        rows = min(sizes.grid.study.calibration.examples, len(lengths))
        lengths = np.random.default_rng(0).choice(lengths, rows, replace=False)
        one = functools.partial(one_shape.statistic_flops, self.statistic, sizes.shape(model), outputs)
        flops = count.summed_flops(one, padded_lengths(lengths))
        yield Work(f"{self.statistic}.{self.system}/{self.task}/seed-{self.seed}", flops)

    def bytes(self, sizes: Sizes) -> int:
        shape, outputs = sizes.shape(self.model(sizes.grid)), sizes.grid.row(self.task).outputs
        return NUMBER * one_shape.statistic_size(self.statistic, shape, outputs)
