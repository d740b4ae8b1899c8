"""Fit a linear head on the layers of a frozen model that are best on `select`."""

from collections.abc import Iterator

from graft.flops.counts import layers_probe_flops
from graft.study.grid import Grid
from graft.study.sizes import Sizes
from graft.study.steps.models import weights
from graft.study.steps.passes import encoder_pass
from graft.study.steps.probe import Probe
from graft.study.steps.step import INFERENCE, Step, Work, hash_of
from graft.study.steps.tokenize_task import tokens, tokens_for


class ProbeLayers(Probe):
    rule = "probe_layers"

    def inputs(self, grid: Grid) -> list[Step]:
        model = self.spec(grid).model
        return [weights(grid, model), tokens(grid, self.task, model)]

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
