"""Fit a linear head on the layers of a frozen model that are best on `select`."""

from collections.abc import Iterator
from typing import Any

from graft.flops.counts import layers_probe_flops
from graft.study.grid import Grid
from graft.study.sizes import Sizes
from graft.study.steps.finetune_model import FinetuneModel, plain
from graft.study.steps.job import Job
from graft.study.steps.models import weights
from graft.study.steps.passes import encoder_pass
from graft.study.steps.probe import Probe
from graft.study.steps.step import INFERENCE, Step, Work, hash_of
from graft.study.steps.tokenize_task import tokens, tokens_for


class ProbeLayers(Probe):
    rule = "probe_layers"

    def job(self, grid: Grid) -> Job:
        return Job.of("make_systems", vars(self)) if self.answering(grid) else super().job(grid)

    def answering(self, grid: Grid) -> list[FinetuneModel]:
        """The fine-tuned small model whose answers it learns, if it sees no labels."""
        spec = self.spec(grid)
        return [FinetuneModel(self.task, f"finetune.{spec.own_pair.small}", self.seed)] if spec.labels == 0 else []

    def inputs(self, grid: Grid) -> list[Step]:
        read, answering = [self.spec(grid).model], self.answering(grid)
        read += [self.spec(grid).own_pair.small for _ in answering]
        return [weights(grid, read[0]), *(tokens(grid, self.task, model) for model in read), *answering]

    def seen(self, grid: Grid) -> list[Any]:
        answers = [plain(grid, self.task, step.spec(grid).model, self.seed) for step in self.answering(grid)]
        return [*super().seen(grid), *answers]

    def hashed(self, grid: Grid) -> str:
        model, primary = self.spec(grid).model, grid.row(self.task).primary_metric
        inputs = [*tokens_for(grid, self.task, model), weights(grid, model).fingerprint(grid)]
        own = [self.ridge(grid), primary, *inputs, grid.study.launch.of_inference(), *self.seen(grid)]
        return hash_of("probe_layers", *own)

    def depends_on(self, grid: Grid) -> str:
        return f"{super().depends_on(grid)}, models.*.finetune.{self.task}.max_tokens, {INFERENCE}"

    def work(self, sizes: Sizes) -> Iterator[Work]:
        spec, outputs = self.spec(sizes.grid), sizes.grid.row(self.task).outputs
        model, sizes = spec.model, sizes.seeing(spec.labels)
        train, select = (len(sizes.task(self.task).tokens[split]) for split in ("train", "select"))
        states = encoder_pass(sizes, self.task, sizes.shape(model), model, "train", "select")
        yield Work(f"{self.prefix(sizes.grid)}/states", states)
        head = layers_probe_flops(sizes.shape(model), train, outputs, self.ridge(sizes.grid), select)
        yield Work(f"{self.prefix(sizes.grid)}/head", head, "closed form")
