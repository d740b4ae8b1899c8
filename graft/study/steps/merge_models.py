"""Make one merged system, or its control: search on `select`, save the chosen model."""

import functools
from collections.abc import Iterator

import numpy as np

from graft.encoders.batches import padded_lengths, training_batches
from graft.flops import counts as count
from graft.merging.composite.facts import Composite, CompositeSizes
from graft.merging.facts import Weights
from graft.registry import methods
from graft.study.grid import ALL_SEEDS, Grid
from graft.study.grid_systems import effective, probes_of, reads_layers
from graft.study.sizes import Sizes
from graft.study.steps.calibrate import some_texts
from graft.study.steps.embed_layers import EmbedLayers
from graft.study.steps.embed_task import EmbedTask
from graft.study.steps.finetune_model import FinetuneModel, classifier_bytes, plain
from graft.study.steps.job import Job
from graft.study.steps.locate_tokens import pair_tokens
from graft.study.steps.models import weights
from graft.study.steps.passes import (
    classifier_flops,
    classifier_pass,
    encoder_flops,
    epoch,
    epochs,
    fit_lengths,
)
from graft.study.steps.probe import Probe
from graft.study.steps.step import INFERENCE, Making, Step, Work, hash_of
from graft.study.steps.sweep import Sweep, job_of, maps_of, moments, moved, parts
from graft.study.steps.tokenize_task import tokens

_RECIPE = 5


class MergeModels(Making):
    rule = "merge_models"
    work_kind = "merging"

    def job(self, grid: Grid) -> Job:
        return job_of(grid, self.task, self.spec(grid).merge, self.seed)

    def shares(self, grid: Grid) -> object:
        spec = self.spec(grid)
        return maps_of(grid, spec.merge, spec.own_pair.name) if spec.merge else self

    def sweep(self, grid: Grid) -> Sweep | None:
        """The bodies that it reads or, where it is their only head, makes itself."""
        spec = self.spec(grid)
        return Sweep(self.task, spec.merge, spec.own_pair.name, self.seed) if spec.merge and spec.head else None

    def probes(self, grid: Grid) -> list[Step]:
        spec = self.spec(grid)
        seed = ALL_SEEDS if spec.labels is None else self.seed
        return [Probe(self.task, probe, seed) for probe in probes_of(spec)]

    def layers(self, grid: Grid) -> list[Step]:
        spec = self.spec(grid)
        return [EmbedLayers(self.task, spec.own_pair.name)] if reads_layers(spec) else []

    def parts(self, grid: Grid) -> list[Making]:
        spec = self.spec(grid)
        composite = spec.merge and methods.facts(spec.method).kind == "composite"
        return self.loads(grid) if composite else []

    def loads(self, grid: Grid) -> list[Making]:
        # The strength of another merge stands in its build.json.
        return [made for made in super().loads(grid) if made not in self.parent(grid)]

    def parent(self, grid: Grid) -> list[Making]:
        """The merge whose strength it has."""
        parent = self.spec(grid).parent
        return [MergeModels(self.task, parent, self.seed)] if parent else []

    def inputs(self, grid: Grid) -> list[Step]:
        spec = self.spec(grid)
        found = [*parts(grid, self.task, spec.own_pair.name), tokens(grid, self.task, spec.own_pair.small)]
        if spec.seeded:
            tuned_on = grid.tuned_on(self.task, spec.merge)
            found.append(FinetuneModel(tuned_on, f"finetune.{spec.own_pair.small}", self.seed))
        if sweep := self.sweep(grid):
            found += [sweep] if grid.has_sweep(spec.merge) else []
        if spec.merge:
            found += moments(grid, self.task, spec.own_pair.name, spec.merge)
        return [*found, *self.layers(grid), *self.probes(grid), *self.parent(grid)]

    def hashed(self, grid: Grid) -> str:
        spec, sweep = self.spec(grid), self.sweep(grid)
        inputs = [grid.row(self.task).primary_metric, EmbedTask(self.task, spec.own_pair.large).fingerprint(grid)]
        if spec.seeded:
            inputs.append(plain(grid, grid.tuned_on(self.task, spec.merge), spec.own_pair.small, self.seed))
        if sweep:
            inputs.append(sweep.fingerprint(grid))
        if spec.merge and not spec.seeded:
            inputs.append(weights(grid, spec.own_pair.small).fingerprint(grid))
        inputs += [step.fingerprint(grid) for step in pair_tokens(grid, self.task, spec.own_pair)[1:]]
        if spec.merge and not spec.head and "texts" in methods.facts(spec.method).needs:
            inputs += grid.calibration_text().values()
        inputs += [step.fingerprint(grid) for step in (*self.layers(grid), *self.probes(grid), *self.parent(grid))]
        own = [spec.method or None, spec.head or None, effective(spec)]
        return hash_of("merge", *own, *inputs, grid.study.launch.of_inference(), recipe=_RECIPE)

    def depends_on(self, grid: Grid) -> str:
        spec = self.spec(grid)
        own = f"systems.merge.{spec.merge}" if spec.merge else "systems.control.head-only"
        return f"{own}: options, strengths, fit_rows, ridge; tasks.{self.task}.metrics (the first), {INFERENCE}"

    def work(self, sizes: Sizes) -> Iterator[Work]:
        spec, sweep = self.spec(sizes.grid), self.sweep(sizes.grid)
        sizes = sizes.seeing(spec.labels)
        if sweep and not sizes.grid.has_sweep(spec.merge):
            yield from sweep.work(sizes)
        if spec.head:
            yield from self._head(sizes)
        elif methods.facts(spec.method).kind == "weights":
            (_, large), outputs = sizes.shapes(spec.own_pair.name), sizes.grid.row(self.task).outputs
            select = sizes.lengths(self.task, "select", spec.own_pair.large)
            tried = len(sizes.grid.merges[spec.merge].options.grid(self.seed))
            yield Work(f"{self.name}/select", tried * classifier_flops(large, outputs, select))
        else:
            options = sizes.grid.merges[spec.merge].options
            assert isinstance(options, Composite)
            for part, flops, mode in options.making(self._sizes(sizes)):
                yield Work(f"{self.name}/{part}", flops, mode)

    def _sizes(self, sizes: Sizes) -> CompositeSizes:
        """Collect what the FLOPs of making a composite depend on."""
        grid, spec = sizes.grid, self.spec(sizes.grid)
        (small, large), pair = sizes.shapes(spec.own_pair.name), spec.own_pair

        def texts(tokens: int) -> tuple[int, np.ndarray]:
            read = some_texts(sizes, self.task, pair.name, tokens)
            return int(read.sum()), padded_lengths(read)

        passes = epochs(sizes, self.task, pair.small)
        choice = classifier_pass(sizes, self.task, "select", pair.small)
        return CompositeSizes(
            small=small,
            large=large,
            outputs=grid.row(self.task).outputs,
            ridges=len(spec.settings.ridge),
            **_padded(sizes, self.task, pair.name),
            fit=padded_lengths(fit_lengths(sizes, self.task, pair.name, spec.settings.fit_rows)),
            texts=texts,
            finetuning=(passes * epoch(sizes, self.task, pair.small)[0], passes * choice),
        )

    def _head(self, sizes: Sizes) -> Iterator[Work]:
        spec, outputs = self.spec(sizes.grid), sizes.grid.row(self.task).outputs
        small, large = sizes.shapes(spec.own_pair.name)
        fit = fit_lengths(sizes, self.task, spec.own_pair.name, spec.settings.fit_rows)
        if spec.head != "labelled":
            yield Work(f"{self.name}/small-on-fit", encoder_flops(small, fit))
        ridge, select = len(spec.settings.ridge), len(sizes.task(self.task).tokens["select"])
        one = count.head_flops(spec.head, small, large, outputs, len(fit), ridge, scored=select)
        bodies = 1 + (moved(sizes, spec.merge, self.seed) if spec.merge and not spec.parent else 0)
        yield Work(f"{self.name}/head", bodies * one, "closed form")
        if spec.merge:
            # As if a strength other than 0 were chosen, which is not known yet.
            options = sizes.grid.merges[spec.merge].options
            assert isinstance(options, Weights)
            if once := options.flops(small, large, options.text_tokens).apply:
                yield Work(f"{self.name}/apply", once, "closed form")

    def bytes(self, sizes: Sizes) -> int:
        spec = self.spec(sizes.grid)
        if not spec.merge or methods.facts(spec.method).kind == "weights":
            return classifier_bytes(sizes, self.task, spec.own_pair.large)
        # A small model trains beside the frozen large one, or (calm) links of about the small model's size.
        return classifier_bytes(sizes, self.task, spec.own_pair.small) if methods.facts(spec.method).trained else 0


@functools.cache  # the same for all composites and seeds
def _padded(sizes: Sizes, task: str, pair: str) -> dict[str, np.ndarray]:
    """Padded lengths of train and select as the large model reads them, and of train as the small one is trained."""
    large, small = sizes.grid.pair(pair).large, sizes.grid.pair(pair).small
    train, select = (sizes.lengths(task, split, large) for split in ("train", "select"))
    batch = sizes.grid.study.models[small].finetune[task].batch_size
    trained = padded_lengths(train, training_batches(train, batch, np.random.default_rng(0)))
    return {"train": padded_lengths(train), "trained": trained, "select": padded_lengths(select)}
