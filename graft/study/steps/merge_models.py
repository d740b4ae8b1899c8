"""Make one merged system, or its control: search on `select`, save the chosen model."""

from __future__ import annotations

from collections.abc import Iterator

from graft.flops import counts as count
from graft.flops.linked import LINKED
from graft.merging.selection import strength_grid
from graft.registry import merge_methods
from graft.study.grid import ALL_SEEDS, Grid
from graft.study.grid_systems import effective, probes_of, reads_layers
from graft.study.sizes import Sizes
from graft.study.steps.embed_layers import EmbedLayers
from graft.study.steps.embed_task import EmbedTask
from graft.study.steps.finetune_model import FinetuneModel, classifier_bytes, plain
from graft.study.steps.merge_flops import composite
from graft.study.steps.models import weights
from graft.study.steps.passes import classifier_flops, encoder_flops, fit_lengths
from graft.study.steps.probe import Probe
from graft.study.steps.step import INFERENCE, Making, Step, Work, hash_of
from graft.study.steps.sweep import Sweep, moments, moved, parts
from graft.study.steps.tokenize_task import tokens

_RECIPE = 5


class MergeModels(Making):
    rule = "merge_models"
    work_kind = "merging"

    def sweep(self, grid: Grid) -> Sweep | None:
        """The bodies that it reads or, where it is their only head, makes itself."""
        spec = self.spec(grid)
        return Sweep(self.task, spec.merge, spec.pair.name, self.seed) if spec.merge and spec.head else None

    def probes(self, grid: Grid) -> list[Step]:
        return [Probe(self.task, probe, ALL_SEEDS) for probe in probes_of(self.spec(grid))]

    def layers(self, grid: Grid) -> list[Step]:
        spec = self.spec(grid)
        return [EmbedLayers(self.task, spec.pair.name)] if reads_layers(spec) else []

    def inputs(self, grid: Grid) -> list[Step]:
        spec = self.spec(grid)
        found = [*parts(grid, self.task, spec.pair.name), tokens(grid, self.task, spec.pair.small)]
        if spec.seeded:
            found.append(FinetuneModel(self.task, f"finetune.{spec.pair.small}", self.seed))
        if spec.merge:
            found += [self.sweep(grid)] if grid.has_sweep(spec.merge) else []
            found += moments(grid, self.task, spec.pair.name, spec.merge)
        return [*found, *self.layers(grid), *self.probes(grid)]

    def hashed(self, grid: Grid) -> str:
        spec, sweep = self.spec(grid), self.sweep(grid)
        inputs = [grid.row(self.task).primary_metric, EmbedTask(self.task, spec.pair.large).fingerprint(grid)]
        if spec.seeded:
            inputs.append(plain(grid, self.task, spec.pair.small, self.seed))
        if sweep:
            inputs.append(sweep.fingerprint(grid))
        if spec.merge and not spec.seeded:
            inputs.append(weights(grid, spec.pair.small).fingerprint(grid))
        if spec.merge and not spec.head and "texts" in merge_methods.facts(spec.method).needs:
            inputs += grid.calibration_text().values()
        inputs += [step.fingerprint(grid) for step in (*self.layers(grid), *self.probes(grid))]
        own = [spec.method, spec.head, effective(spec)]
        return hash_of("merge", *own, *inputs, grid.study.launch.of_inference(), recipe=_RECIPE)

    def depends_on(self, grid: Grid) -> str:
        spec = self.spec(grid)
        own = f"systems.merge.{spec.merge}" if spec.merge else "systems.control.head-only"
        return f"{own}: options, strengths, fit_rows, ridge; tasks.{self.task}.metrics (the first), {INFERENCE}"

    def work(self, sizes: Sizes) -> Iterator[Work]:
        spec, sweep = self.spec(sizes.grid), self.sweep(sizes.grid)
        if sweep and not sizes.grid.has_sweep(spec.merge):
            yield from sweep.work(sizes)
        if spec.head:
            yield from self._head(sizes)
        elif merge_methods.facts(spec.method).kind == "weights":
            (_, large), outputs = sizes.shapes(spec.pair.name), sizes.grid.row(self.task).outputs
            select = sizes.lengths(self.task, "select", spec.pair.large)
            tried = len(strength_grid(effective(spec), self.seed))
            yield Work(f"{self.name}/select", tried * classifier_flops(large, outputs, select))
        else:
            yield from composite(sizes, self)

    def _head(self, sizes: Sizes) -> Iterator[Work]:
        spec, outputs = self.spec(sizes.grid), sizes.grid.row(self.task).outputs
        (small, large), fit = sizes.shapes(spec.pair.name), fit_lengths(sizes, self.task, spec.pair.name, spec.merge)
        if spec.head != "labelled":
            yield Work(f"{self.name}/small-on-fit", encoder_flops(small, fit))
        ridge, select = len(spec.settings.ridge), len(sizes.task(self.task).tokens["select"])
        one = count.head_flops(spec.head, small, large, outputs, len(fit), ridge, scored=select)
        bodies = 1 + (moved(sizes, spec.merge, self.seed) if spec.merge else 0)
        yield Work(f"{self.name}/head", bodies * one, "closed form")

    def bytes(self, sizes: Sizes) -> int:
        spec = self.spec(sizes.grid)
        if spec.merge is None or merge_methods.facts(spec.method).kind == "weights":
            return classifier_bytes(sizes, self.task, spec.pair.large)
        # A small model trains beside the frozen large one, or (calm) links of about the small model's size.
        return classifier_bytes(sizes, self.task, spec.pair.small) if spec.method in LINKED else 0
