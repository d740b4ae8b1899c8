"""Make merges of kind `weights` in a study: from finished parts to a saved model, its choices and its FLOPs."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from graft.encoders import features
from graft.encoders.inference import pass_flops
from graft.encoders.models import load_classifier, load_encoder
from graft.flops.counts import classifier_flops, head_flops
from graft.io import files
from graft.io.progress import Report, silent
from graft.making.composites import COMPOSITES
from graft.making.pair_inputs import Built, PairInputs
from graft.merging.classifier_heads.fitting import fit_heads
from graft.merging.classifier_heads.head import Head, head_logits, unfitted
from graft.merging.facts import Weights
from graft.merging.heterogeneous.interpolate.maths import interpolated_head
from graft.merging.saving import save_classifier, split_classifier
from graft.merging.selection import Point, search
from graft.registry import methods
from graft.study.grid_systems import System
from graft.study.steps.calibrate import Calibrate
from graft.study.steps.step import hash_of
from graft.study.steps.sweep import Sweep

Made = TypeVar("Made")


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


# The merged body at any strength, and the method's diagnostics.
Bodies = tuple[Callable[[float], dict[str, Tensor]], dict[str, float]]
# Of this process: the last maps and the last merge, since a job makes those that share maps one after the other.
_MAPS: dict[Any, Any] = {}
_BODIES: dict[Any, Bodies] = {}


def remembered(memo: dict[Any, Made], key: Any, size: int, make: Callable[[], Made]) -> Made:
    """Return what `make` makes, or made for this key, if that is among the `size` used last."""
    found = memo.pop(key, None)
    for old in list(memo)[: max(0, len(memo) + 1 - size)]:
        del memo[old]
    memo[key] = make() if found is None else found
    return memo[key]


def bodies(inputs: PairInputs, merge: str, report: Report = silent) -> Bodies:
    """Prepare a merge, unless it was the last one of this process; its controls and other seeds share its maps."""
    grid, pair = inputs.grid, inputs.pair.name
    way, place = grid.merges[merge], (inputs.paths.root, inputs.device)
    assert isinstance(way.options, Weights)
    options = way.options
    calibration = Calibrate(inputs.task, pair, options.depth)
    between = calibration.fingerprint(grid), options, *place

    def made() -> Bodies:
        merger, parts = methods.implementation(way.method)(), replace(inputs.parts(merge), report=report)
        path = calibration.output(inputs.paths).with_name(f"maps-{hash_of(*map(str, between))}.pt")
        file = path if merger.kept_maps and way.depth else None
        maps = remembered(_MAPS, between, 1, lambda: fitted(file, parts.device, lambda: merger.fit_maps(parts)))
        state = merger.prepare(parts, maps)
        # A body that is computed, not just added up, is kept; of others the one tried last, which is often chosen.
        costly = options.flops(inputs.small_shape, inputs.large_shape, 1).apply
        kept = functools.lru_cache(len(options.grid(inputs.seed)) if costly else 1)
        return kept(functools.partial(merger.apply, state)), dict(getattr(state, "diagnostics", {}))

    return remembered(_BODIES, (Sweep(inputs.task, merge, pair, inputs.seed).fingerprint(grid), *place), 1, made)


def fitted(path: Path | None, device: torch.device, fit: Callable[[], Any]) -> Any:
    """Read maps that another process fitted, for another seed or control, or fit them and keep them in this file."""
    if path and path.is_file():
        return torch.load(path, map_location=device, weights_only=True)
    maps = fit()
    if path:
        with files.atomic_file(path) as file:
            torch.save(maps, file)
    return maps


def sweep(inputs: PairInputs, merge: str, report: Report) -> Swept:
    """Run the texts through a merged body at every strength other than 0."""
    way = inputs.grid.merges[merge]
    strengths = [s for s in way.options.grid(inputs.seed) if s != 0]
    rows = inputs.fit_rows(way.settings.fit_rows)
    assert isinstance(way.options, Weights)
    body, diagnostics = bodies(inputs, merge, report)
    model = load_encoder(inputs.large_folder).to(inputs.device)
    states: dict[str, np.ndarray] = {}
    for number, strength in enumerate(strengths):
        model.load_state_dict(body(strength), assign=True)
        states[f"fit.{strength}"] = features.cls_states(model, inputs.tokens("train"), inputs.max_tokens, rows)
        states[f"select.{strength}"] = features.cls_states(model, inputs.tokens("select"), inputs.max_tokens)
        report(number + 1, len(strengths), f"strength {strength}")
    tokens = sum(int(batch["attention_mask"].sum()) for batch in inputs.texts(way))
    cost = way.options.flops(inputs.small_shape, inputs.large_shape, tokens)
    name = Sweep(inputs.task, merge, inputs.pair.name, inputs.seed).name
    inherited = inputs.tuned(merge)[1]
    if way.depth:
        inherited |= inputs.calibration_flops(way.depth)
    parts = {
        **inherited,
        f"{name}/prepare": cost.prepare,
        f"{name}/apply": len(strengths) * cost.apply,
        **_swept_passes(inputs, name, rows, len(strengths)),
    }
    return Swept(states, parts, diagnostics, body)


def _swept_passes(inputs: PairInputs, name: str, rows: np.ndarray, strengths: int) -> dict[str, int]:
    """FLOPs of running the texts through a merged body at every strength, by name."""
    return {
        f"{name}/fit": inputs.passes("large", "train", rows, strengths),
        f"{name}/select": inputs.passes("large", "select", times=strengths),
    }


def read_sweep(inputs: PairInputs, merge: str) -> Swept:
    """Read the results of the program `sweep`; `body` prepares the merge again, unless this process just did.

    With few labels, their rows are among those that it ran through the bodies, and alone are counted.
    """
    step = Sweep(inputs.task, merge, inputs.pair.name, inputs.seed)
    folder, made = inputs.finished(step)
    states, parts = features.load_states(folder), dict(made["train_flops_parts"])
    if inputs.splits.rows:
        whole = (f"{step.name}/fit", f"{step.name}/select")
        strengths = sum(name.startswith("select.") for name in states)
        rows = np.arange(len(inputs.tokens("train")))
        parts = {name: flops for name, flops in parts.items() if name not in whole}
        parts |= _swept_passes(inputs, f"sweep.{merge}.{inputs.pair.name}/{inputs.splits.place}", rows, strengths)
    states = inputs.splits.taken(states, "fit")
    return Swept(states, parts, made["diagnostics"], lambda s: bodies(inputs, merge)[0](s))


def merge_with_head(inputs: PairInputs, system: System, out: Path, report: Report) -> Built:
    """Make a `weights` merge (or, without a method, the untouched large body) with a fitted head; strength and ridge
    size are chosen together on `select`, but a control may have its merge's strength."""
    settings, head = system.settings, system.head
    assert head is not None
    rows = inputs.fit_rows(settings.fit_rows)
    states = {0.0: (inputs.frozen["train.cls"][rows], inputs.frozen["select.cls"])}
    name = inputs.name(system)
    flops = {
        f"{inputs.embedding}/fit-{len(rows)}": inputs.passes("large", "train", rows),
        f"{inputs.embedding}/select": inputs.passes("large", "select"),
    }
    swept = None
    if system.merge:
        alone = not inputs.grid.has_sweep(system.merge)
        swept = sweep(inputs, system.merge, report) if alone else read_sweep(inputs, system.merge)
        flops |= swept.flops
        for s in inputs.grid.merges[system.merge].options.grid(inputs.seed):
            if s != 0:
                states[s] = swept.states[f"fit.{s}"], swept.states[f"select.{s}"]
    said: dict[str, Any] = {"fit_rows": len(rows)}
    if system.parent:
        strength, parts = inputs.strength_of(system.parent)
        states, flops = {strength: states[strength]}, parts | flops
        said |= {"strength": strength, "strength_of": system.parent}

    known: dict[str, Any]
    if head == "labelled":
        classes = None if inputs.row.labels is None else len(inputs.row.labels)
        labels = inputs.splits.labels("train")[rows]
        known = {"labels": torch.from_numpy(labels), "classes": classes}
    else:
        folder, parts = inputs.system(inputs.finetuned, inputs.seed)
        model = load_classifier(folder).to(inputs.device)
        hidden = features.cls_states(model.bert, inputs.tokens("train", "small"), inputs.max_tokens, rows)
        known = {"small_hidden": torch.from_numpy(hidden), "small_head": split_classifier(model.cpu())[1]}
        flops |= parts
        flops[f"{name}/small-on-fit"] = inputs.passes("small", "train", rows)
    body = load_encoder(inputs.large_folder).state_dict()
    # No method changes the pooler: heads are fitted on the merged body's state after the large model's own pooler.
    own = unfitted(body, inputs.large_shape)
    heads = {
        Point(strength, ridge): fitted
        for strength, (fit, _) in states.items()
        for ridge, fitted in fit_heads(head, torch.from_numpy(fit), own, settings.ridge, **known).items()
    }

    def score(point: Point) -> float:
        hidden = torch.from_numpy(states[point.strength][1]).double()
        return inputs.score(head_logits(heads[point], hidden))

    choice = search(heads, score)
    shapes, sizes = (inputs.small_shape, inputs.large_shape), len(settings.ridge)
    one = head_flops(head, *shapes, inputs.row.outputs, len(rows), sizes, scored=len(inputs.select_labels))
    flops[f"{name}/head"] = len(states) * one
    if swept and choice.chosen.strength != 0:
        body = swept.body(choice.chosen.strength)
    save_classifier(body, heads[choice.chosen], inputs.large_folder, inputs.row.labels, out)
    return Built(choice, flops, said, swept.diagnostics if swept else {})


def merge_with_own_head(inputs: PairInputs, system: System, out: Path, report: Report) -> Built:
    """Make `interpolate`: body and head are interpolated together, so each strength is scored as a whole classifier on
    `select`."""
    merge = inputs.merge(system)
    merged, _ = bodies(inputs, system.merge)
    folder, inherited = inputs.system(inputs.finetuned, inputs.seed)
    small_head = split_classifier(load_classifier(folder).to(inputs.device))[1]
    strengths = merge.options.grid(inputs.seed)
    large = load_encoder(inputs.large_folder).to(inputs.device)
    tried = 0

    def made(strength: float) -> tuple[dict[str, Tensor], Head]:
        body = merged(strength)
        return body, interpolated_head(small_head, body, strength)

    def score(point: Point) -> float:
        nonlocal tried
        body, head = made(point.strength)
        large.load_state_dict(body, assign=True)
        hidden = features.cls_states(large, inputs.tokens("select"), inputs.max_tokens)
        tried += 1
        report(tried, len(strengths), f"strength {point.strength:.3f}")
        return inputs.score(head_logits(head, torch.from_numpy(hidden).to(inputs.device)).cpu())

    choice = search([Point(s) for s in strengths], score)
    save_classifier(*made(choice.chosen.strength), inputs.large_folder, inputs.row.labels, out)
    forward = functools.partial(classifier_flops, inputs.large_shape, outputs=inputs.row.outputs)
    search_flops = len(strengths) * pass_flops(forward, inputs.tokens("select"), inputs.max_tokens)
    return Built(choice, inherited | {f"{inputs.name(system)}/select": search_flops})


def build(inputs: PairInputs, system: System, out: Path, report: Report) -> Built:
    """Make one merge or control and save it in folder `out`."""
    if system.head:
        return merge_with_head(inputs, system, out, report)
    method = inputs.merge(system).method
    if methods.facts(method).kind == "weights":
        return merge_with_own_head(inputs, system, out, report)
    if method in COMPOSITES:
        return COMPOSITES[method](inputs, system, out, report)
    from graft.making.trained_composites import LINKED  # accelerate takes seconds to import

    return LINKED[method](inputs, system, out, report)
