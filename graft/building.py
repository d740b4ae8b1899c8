"""Making merged systems inside a study: from finished parts to a saved model with its choices and its FLOPs.

The methods themselves know nothing of studies; this is where they meet paths, splits and the search on `select`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from graft import features, runs
from graft.cost.flops import classifier_flops, encoder_flops, head_flops
from graft.encoders import load_classifier, load_encoder, projection_of
from graft.grid import ALL_SEEDS, Grid, Merge, System, probe_of
from graft.inference import Batch, batches, first_texts, pass_flops, predict, run
from graft.merging import registry
from graft.merging.alignment import depth
from graft.merging.changes import finetuned_with
from graft.merging.composite import logit_ensemble, manifest
from graft.merging.heads.fitting import fit_heads
from graft.merging.heads.head import Head, head_logits
from graft.merging.heterogeneous.interpolate import interpolated_head
from graft.merging.loading import load
from graft.merging.protocol import Parts, extended
from graft.merging.saving import save_classifier, split_classifier
from graft.merging.selection import Choice, Point, search, strength_grid
from graft.paths import Paths
from graft.shapes import Shape
from graft.tasks import metrics
from graft.tasks.tokens import TokenisedSplit

Report = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Built:
    """A merge that was chosen and saved: the search's record, the parts of its training FLOPs, and diagnostics."""

    choice: Choice
    flops: dict[str, int]
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    diagnostics: dict[str, float] = field(default_factory=dict)


class Workbench:
    """One merge of one study: its parts, read when first asked for.

    Merges truncate texts to the large model's `max_tokens` in both models, so that both see the same tokens.
    """

    def __init__(self, grid: Grid, paths: Paths, task: str, pair: str, seed: int | str, device: str) -> None:
        self.grid, self.paths, self.task, self.seed, self.device = grid, paths, task, seed, device
        self.pair = grid.pair(pair)
        self.row = grid.study.tasks[task].row(task)
        self.max_tokens = grid.max_tokens(task, self.pair.large)
        models = self.pair.large, self.pair.small
        self.large_folder, self.small_folder = (runs.model_folder(grid, paths, model) for model in models)
        self.large_shape, self.small_shape = Shape.of(self.large_folder), Shape.of(self.small_folder)
        self.finetuned = f"finetune.{self.pair.small}"

    def system(self, name: str, seed: int | str) -> tuple[Path, dict[str, int]]:
        """Model folder of a finished system on this task, and the parts of its training FLOPs."""
        folder = self.paths.run(self.task, name, seed)
        made = runs.read_made(folder / "build.json", self.grid.made(self.task, name, seed))
        return folder / "model", made["train_flops_parts"]

    def calibration(self, depth: str) -> tuple[Path, dict[str, Any]]:
        """Statistics that `calibrate` left for a depth map, and its manifest."""
        folder = self.paths.statistics(self.task, self.pair.name, depth)
        expected = self.grid.calibrate(self.task, self.pair.name, depth)
        return folder / "statistics.safetensors", runs.read_made(folder / "manifest.json", expected)

    def tokens(self, split: str) -> TokenisedSplit:
        return runs.tokens(self.grid, self.paths, self.task, self.pair.large, split)

    @functools.cached_property
    def select_labels(self) -> np.ndarray:
        return runs.labels(self.paths, self.task, "select")

    def fit_rows(self, count: int) -> np.ndarray:
        return features.fit_rows(len(self.tokens("train")), count)

    def score(self, logits: Tensor | np.ndarray) -> float:
        """The primary metric on `select` of logits [rows, c]."""
        return metrics.primary(np.asarray(logits), self.select_labels, self.row)

    def parts(self, merge: Merge) -> Parts:
        """Bodies and, where the method needs them, statistics."""
        statistics = None
        name, layers = merge.options.get("depth", "uniform"), (self.small_shape.layers, self.large_shape.layers)
        if merge.depth:
            path, made = self.calibration(merge.depth)
            statistics, depth_map = load_file(path), tuple((m, g) for m, g in made["depth_map"])
        else:
            depth_map = depth.named(name, *layers, ())
        pretrained = load_encoder(self.small_folder).state_dict()
        finetuned = split_classifier(load_classifier(self.system(self.finetuned, self.seed)[0]))[0]
        parts = Parts(
            large=load_encoder(self.large_folder).state_dict(),
            small_finetuned=finetuned_with(merge.change, pretrained, finetuned, self.seed),
            small_pretrained=pretrained,
            large_shape=self.large_shape,
            small_shape=self.small_shape,
            depth_map=depth_map,
            statistics=statistics,
            options=merge.options,
            texts=self.texts(merge),
            projection=projection_of(self.small_folder),
        )
        return extended(parts) if name == "extend" else parts

    def texts(self, merge: Merge) -> list[Batch]:
        """Batches of the calibration's texts for methods that need them again; () for others."""
        if "texts" not in registry.facts(merge.method).needs:
            return []
        tokens = runs.calibration_tokens(self.grid, self.paths, self.task, self.pair.large)
        rows = first_texts(tokens, self.max_tokens, merge.options["text_tokens"])
        return [batch for _, batch in batches(tokens, self.max_tokens, rows)]

    def passes(self, shape: Shape, split: str, rows: np.ndarray | None = None, times: int = 1) -> int:
        """FLOPs of running an encoder over (rows of) a split."""
        return times * pass_flops(lambda t: encoder_flops(shape, t), self.tokens(split), self.max_tokens, rows)


@dataclass(frozen=True)
class Sweep:
    """A merged body at every strength but 0: `fit.<strength>` and `select.<strength>` [rows, w_L], its [CLS] states on
    the fit rows and on `select`; the parts of the FLOPs; what the method found out about itself; and how to get it."""

    states: dict[str, np.ndarray]
    flops: dict[str, int]
    diagnostics: dict[str, float]
    body: Callable[[float], dict[str, Tensor]]


def sweep(bench: Workbench, merge: str, report: Report) -> Sweep:
    """Run a merged body at every strength but 0."""
    way = bench.grid.merges[merge]
    strengths = [s for s in strength_grid(way.options, bench.seed) if s != 0]
    rows = bench.fit_rows(way.settings.fit_rows)
    merger = registry.implementation(way.method)()
    state = merger.prepare(bench.parts(way))
    model = load_encoder(bench.large_folder).to(bench.device)
    states: dict[str, np.ndarray] = {}
    for number, strength in enumerate(strengths):
        model.load_state_dict(merger.apply(state, strength))
        states[f"fit.{strength}"] = features.cls_states(model, bench.tokens("train"), bench.max_tokens, rows)
        states[f"select.{strength}"] = features.cls_states(model, bench.tokens("select"), bench.max_tokens)
        report(number + 1, len(strengths), f"strength {strength}")
    tokens = sum(int(batch["attention_mask"].sum()) for batch in bench.texts(way))
    cost = merger.flops(bench.small_shape, bench.large_shape, way.options, tokens)
    name = f"sweep.{merge}.{bench.pair.name}/{bench.task}/seed-{bench.seed}"
    inherited = bench.system(bench.finetuned, bench.seed)[1]
    if way.depth:
        inherited |= bench.calibration(way.depth)[1]["train_flops_parts"]
    parts = {
        **inherited,
        f"{name}/prepare": cost.prepare,
        f"{name}/apply": len(strengths) * cost.apply,
        f"{name}/fit": bench.passes(bench.large_shape, "train", rows, len(strengths)),
        f"{name}/select": bench.passes(bench.large_shape, "select", times=len(strengths)),
    }
    return Sweep(states, parts, dict(state.diagnostics), functools.partial(merger.apply, state))


def read_sweep(bench: Workbench, merge: str) -> Sweep:
    """What the program `sweep` kept; the body is prepared anew."""
    folder = bench.paths.sweep(bench.task, merge, bench.pair.name, bench.seed)
    expected = bench.grid.sweep(bench.task, merge, bench.pair.name, bench.seed)
    made = runs.read_made(folder / "manifest.json", expected)
    way = bench.grid.merges[merge]

    def body(strength: float) -> dict[str, Tensor]:
        merger = registry.implementation(way.method)()
        return merger.apply(merger.prepare(bench.parts(way)), strength)

    return Sweep(features.load_states(folder), made["train_flops_parts"], made["diagnostics"], body)


def merge_with_head(bench: Workbench, system: System, out: Path, report: Report) -> Built:
    """A `weights` merge (or, without a method, the untouched large body) under a fitted head; strength and ridge size
    are chosen together on `select`."""
    settings, head = system.settings, system.head
    rows = bench.fit_rows(settings.fit_rows)
    embedded = bench.paths.embeddings(bench.task, bench.pair.large)
    runs.read_made(embedded / "manifest.json", bench.grid.embed(bench.task, bench.pair.large))
    frozen = features.load_states(embedded)
    states = {0.0: (frozen["train.cls"][rows], frozen["select.cls"])}
    name = f"{system.name}/{bench.task}/seed-{bench.seed}"
    flops = {
        f"embed.{bench.pair.large}/{bench.task}/fit-{len(rows)}": bench.passes(bench.large_shape, "train", rows),
        f"embed.{bench.pair.large}/{bench.task}/select": bench.passes(bench.large_shape, "select"),
    }
    swept = None
    if system.merge:
        alone = not bench.grid.has_sweep(system.merge)
        swept = sweep(bench, system.merge, report) if alone else read_sweep(bench, system.merge)
        flops |= swept.flops
        for s in strength_grid(bench.grid.merges[system.merge].options, bench.seed):
            if s != 0:
                states[s] = swept.states[f"fit.{s}"], swept.states[f"select.{s}"]

    small_head = small_hidden = labels = None
    if head == "labelled":
        labels = torch.from_numpy(runs.labels(bench.paths, bench.task, "train")[rows])
    else:
        folder, parts = bench.system(bench.finetuned, bench.seed)
        model = load_classifier(folder).to(bench.device)
        small_hidden = torch.from_numpy(features.cls_states(model.bert, bench.tokens("train"), bench.max_tokens, rows))
        small_head = split_classifier(model.cpu())[1]
        flops |= parts
        flops[f"{name}/small-on-fit"] = bench.passes(bench.small_shape, "train", rows)
    body = load_encoder(bench.large_folder).state_dict()
    # No method touches the pooler: heads are fitted on what the large model's own makes of the merged body's state.
    pooler = body["pooler.dense.weight"], body["pooler.dense.bias"]
    heads = {
        (strength, ridge): fitted
        for strength, (fit, _) in states.items()
        for ridge, fitted in fit_heads(
            head,
            torch.from_numpy(fit),
            pooler,
            settings.ridge,
            small_head=small_head,
            small_hidden=small_hidden,
            labels=labels,
            classes=None if bench.row.labels is None else len(bench.row.labels),
        ).items()
    }

    def score(point: Point) -> float:
        hidden = torch.from_numpy(states[point.strength][1]).double()
        return bench.score(head_logits(heads[point.strength, point.ridge], hidden))

    choice = search([Point(*key) for key in heads], score)
    shapes, sizes = (bench.small_shape, bench.large_shape), len(settings.ridge)
    one = head_flops(head, *shapes, bench.row.outputs, len(rows), sizes, scored=len(bench.select_labels))
    flops[f"{name}/head"] = len(states) * one
    if choice.chosen.strength != 0:
        body = swept.body(choice.chosen.strength)
    save_classifier(body, heads[choice.chosen.strength, choice.chosen.ridge], bench.large_folder, bench.row.labels, out)
    return Built(choice, flops, {"fit_rows": len(rows)}, swept.diagnostics if swept else {})


def merge_with_own_head(bench: Workbench, system: System, out: Path, report: Report) -> Built:
    """`interpolate`: body and head are mixed alike, so every strength is tried as a whole classifier on `select`."""
    merge = bench.grid.merges[system.merge]
    merger = registry.implementation(merge.method)()
    state = merger.prepare(bench.parts(merge))
    folder, inherited = bench.system(bench.finetuned, bench.seed)
    model = load_classifier(folder)
    small_head = split_classifier(model)[1]
    strengths = strength_grid(merge.options, bench.seed)
    large = load_encoder(bench.large_folder).to(bench.device)
    tried = 0

    def made(strength: float) -> tuple[dict[str, Tensor], Head]:
        body = merger.apply(state, strength)
        return body, interpolated_head(small_head, body, strength)

    def score(point: Point) -> float:
        nonlocal tried
        body, head = made(point.strength)
        large.load_state_dict(body)
        hidden = features.cls_states(large, bench.tokens("select"), bench.max_tokens)
        tried += 1
        report(tried, len(strengths), f"strength {point.strength:.3f}")
        return bench.score(head_logits(head, torch.from_numpy(hidden)))

    choice = search([Point(s) for s in strengths], score)
    save_classifier(*made(choice.chosen.strength), bench.large_folder, bench.row.labels, out)
    forward = functools.partial(classifier_flops, bench.large_shape, outputs=bench.row.outputs)
    search_flops = len(strengths) * pass_flops(forward, bench.tokens("select"), bench.max_tokens)
    name = f"{system.name}/{bench.task}/seed-{bench.seed}/select"
    return Built(choice, inherited | {name: search_flops})


def merge_logits(bench: Workbench, system: System, out: Path) -> Built:
    """`logit_ensemble`: the fine-tuned small model and the large model's probe, mixed with a weight from `select`."""
    options = bench.grid.merges[system.merge].options
    pooling = probe_of(system)
    small_folder, small_parts = bench.system(bench.finetuned, bench.seed)
    probe_folder, probe_parts = bench.system(f"probe.{pooling}.{bench.pair.large}", ALL_SEEDS)
    select = bench.tokens("select")
    small = load_classifier(small_folder).to(bench.device)
    small_logits = torch.from_numpy(predict(small, select, bench.max_tokens))
    large = load(probe_folder).to(bench.device)
    probe_logits = torch.from_numpy(run(large.logits, select, bench.max_tokens, device=bench.device))
    scores = bench.row.labels is None
    choice, scales = logit_ensemble.fit(small_logits, probe_logits, options["strengths"], bench.score, scores)
    manifest.write_logit_ensemble(out, small_folder, probe_folder, choice.chosen.strength, scales)
    # The large model's states on select are in the probe's parts already; the small one runs over them here.
    name = f"{system.name}/{bench.task}/seed-{bench.seed}/small-on-select"
    flops = small_parts | probe_parts | {name: bench.passes(bench.small_shape, "select")}
    return Built(choice, flops, {"scales": scales})


def build(bench: Workbench, system: System, out: Path, report: Report) -> Built:
    """Make one merge or control and save it in folder `out`."""
    if system.head:
        return merge_with_head(bench, system, out, report)
    if registry.facts(system.method).kind == "weights":
        return merge_with_own_head(bench, system, out, report)
    return merge_logits(bench, system, out)
