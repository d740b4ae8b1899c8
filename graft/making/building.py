"""Make merges of kind `weights` in a study: from finished parts to a saved model, its choices and its FLOPs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from graft.encoders import features
from graft.encoders.bert import load_classifier, load_encoder
from graft.encoders.inference import pass_flops
from graft.flops.counts import classifier_flops, head_flops
from graft.io.progress import Report
from graft.making.composing import COMPOSITES
from graft.making.workbench import Built, Workbench
from graft.merging.facts import Weights
from graft.merging.heads.fitting import fit_heads
from graft.merging.heads.head import Head, head_logits
from graft.merging.heterogeneous.interpolate.maths import interpolated_head
from graft.merging.saving import save_classifier, split_classifier
from graft.merging.selection import Point, search
from graft.registry import methods
from graft.study import runs
from graft.study.grid_systems import System
from graft.study.steps.sweep import Sweep


@dataclass(frozen=True)
class Swept:
    """A merged body at every strength other than 0.

    `states`: its [CLS] states `fit.<strength>` and `select.<strength>` [rows, w_L] on the fit rows and on `select`;
    `flops`: parts of the FLOPs; `diagnostics`: values that the method reports; `body`: the weights at a strength.
    """

    states: dict[str, np.ndarray]
    flops: dict[str, int]
    diagnostics: dict[str, float]
    body: Callable[[float], dict[str, Tensor]]


def sweep(bench: Workbench, merge: str, report: Report) -> Swept:
    """Run the texts through a merged body at every strength other than 0."""
    way = bench.grid.merges[merge]
    strengths = [s for s in way.options.grid(bench.seed) if s != 0]
    rows = bench.fit_rows(way.settings.fit_rows)
    assert isinstance(way.options, Weights)
    merger = methods.implementation(way.method)()
    state = merger.prepare(replace(bench.parts(way), report=report))
    # The strength tried last is often the one chosen.
    body = functools.lru_cache(maxsize=1)(functools.partial(merger.apply, state))
    model = load_encoder(bench.large_folder).to(bench.device)
    states: dict[str, np.ndarray] = {}
    for number, strength in enumerate(strengths):
        model.load_state_dict(body(strength))
        states[f"fit.{strength}"] = features.cls_states(model, bench.tokens("train"), bench.max_tokens, rows)
        states[f"select.{strength}"] = features.cls_states(model, bench.tokens("select"), bench.max_tokens)
        report(number + 1, len(strengths), f"strength {strength}")
    tokens = sum(int(batch["attention_mask"].sum()) for batch in bench.texts(way))
    cost = way.options.flops(bench.small_shape, bench.large_shape, tokens)
    name = f"sweep.{merge}.{bench.pair.name}/{bench.task}/seed-{bench.seed}"
    inherited = bench.system(bench.finetuned, bench.seed)[1]
    if way.depth:
        inherited |= bench.calibration_flops(way.depth)
    parts = {
        **inherited,
        f"{name}/prepare": cost.prepare,
        f"{name}/apply": len(strengths) * cost.apply,
        f"{name}/fit": bench.passes(bench.large_shape, "train", rows, len(strengths)),
        f"{name}/select": bench.passes(bench.large_shape, "select", times=len(strengths)),
    }
    return Swept(states, parts, dict(state.diagnostics), body)


def read_sweep(bench: Workbench, merge: str) -> Swept:
    """Read the results of the program `sweep`; `body` prepares the merge again."""
    folder, made = bench.finished(Sweep(bench.task, merge, bench.pair.name, bench.seed))
    way = bench.grid.merges[merge]

    def body(strength: float) -> dict[str, Tensor]:
        merger = methods.implementation(way.method)()
        return merger.apply(merger.prepare(bench.parts(way)), strength)

    return Swept(features.load_states(folder), made["train_flops_parts"], made["diagnostics"], body)


def merge_with_head(bench: Workbench, system: System, out: Path, report: Report) -> Built:
    """Make a `weights` merge (or, without a method, the untouched large body) with a fitted head; strength and ridge
    size are chosen together on `select`."""
    settings, head = system.settings, system.head
    assert head is not None
    rows = bench.fit_rows(settings.fit_rows)
    states = {0.0: (bench.frozen["train.cls"][rows], bench.frozen["select.cls"])}
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
        for s in bench.grid.merges[system.merge].options.grid(bench.seed):
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
    # No method changes the pooler: heads are fitted on the merged body's state after the large model's own pooler.
    pooler = body["pooler.dense.weight"], body["pooler.dense.bias"]
    heads = {
        Point(strength, ridge): fitted
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
        return bench.score(head_logits(heads[point], hidden))

    choice = search(heads, score)
    shapes, sizes = (bench.small_shape, bench.large_shape), len(settings.ridge)
    one = head_flops(head, *shapes, bench.row.outputs, len(rows), sizes, scored=len(bench.select_labels))
    flops[f"{name}/head"] = len(states) * one
    if swept and choice.chosen.strength != 0:
        body = swept.body(choice.chosen.strength)
    save_classifier(body, heads[choice.chosen], bench.large_folder, bench.row.labels, out)
    return Built(choice, flops, {"fit_rows": len(rows)}, swept.diagnostics if swept else {})


def merge_with_own_head(bench: Workbench, system: System, out: Path, report: Report) -> Built:
    """Make `interpolate`: body and head are interpolated together, so each strength is scored as a whole classifier on
    `select`."""
    merge = bench.merge(system)
    merger = methods.implementation(merge.method)()
    state = merger.prepare(bench.parts(merge))
    folder, inherited = bench.system(bench.finetuned, bench.seed)
    model = load_classifier(folder)
    small_head = split_classifier(model)[1]
    strengths = merge.options.grid(bench.seed)
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


def build(bench: Workbench, system: System, out: Path, report: Report) -> Built:
    """Make one merge or control and save it in folder `out`."""
    if system.head:
        return merge_with_head(bench, system, out, report)
    method = bench.merge(system).method
    if methods.facts(method).kind == "weights":
        return merge_with_own_head(bench, system, out, report)
    if method in COMPOSITES:
        return COMPOSITES[method](bench, system, out, report)
    from graft.making.linking import LINKED  # accelerate takes seconds to import

    return LINKED[method](bench, system, out, report)
