"""TEMPORARY: until methods have rooms."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from graft.encoders.batches import padded_lengths, training_batches
from graft.flops import counts as count
from graft.flops.linked import LINKED, LinkedFlops, linked_flops
from graft.registry.cuts import Cut, cuts
from graft.registry.depth import as_deep, pairs, uniform
from graft.registry.shapes import Shape
from graft.study.grid_systems import System, effective
from graft.study.sizes import Sizes
from graft.study.steps.calibrate import some_texts
from graft.study.steps.passes import (
    classifier_flops,
    classifier_pass,
    encoder_flops,
    encoder_pass,
    epoch,
    epochs,
    fit_lengths,
)
from graft.study.steps.step import Work

# FLOPs of `prepare` and `apply`, by method; a test compares them with the implementations' own counts.
PREPARE: Mapping[str, Callable[[Shape, Shape, Mapping[str, Any]], tuple[int, int]]] = {
    "theseus": lambda small, large, o: (
        count.theseus_flops(small, large, _pairs(small, large, o), o["embedding_delta"])
        + count.evidence_flops(small, large, _pairs(small, large, o), o),
        0,
    ),
    "spacewise": lambda small, large, o: (
        count.spacewise_flops(small, large, _pairs(small, large, o), o)
        + count.evidence_flops(small, large, _pairs(small, large, o), o),
        0,
    ),
    "functional": lambda small, large, o: count.functional_flops(
        as_deep(o["depth"], small, large),
        large,
        _pairs(small, large, o),
        o["text_tokens"],
        o,
    ),
    "ot_fusion": lambda small, large, o: (count.ot_fusion_flops(small, large, _pairs(small, large, o)), 0),
    "grow": lambda small, large, o: (count.grow_flops(small, large, o["text_tokens"]), 0),
    "interpolate": lambda small, large, o: (0, 0),
}


def _pairs(small: Shape, large: Shape, options: Mapping[str, Any]) -> int:
    return pairs(options["depth"], small.layers, large.layers)


def composite(sizes: Sizes, step) -> Iterator[Work]:
    task, system, name, grid = step.task, step.spec(sizes.grid), step.name, sizes.grid
    (small, large), options = sizes.shapes(system.pair.name), effective(system)
    outputs, reader = grid.row(task).outputs, system.pair.large

    fit, select = fit_lengths(sizes, task, system.pair.name, system.merge), sizes.lengths(task, "select", reader)
    on_select = encoder_pass(sizes, task, small, reader, "select")
    answers = classifier_flops(small, outputs, select)

    def head(width: int) -> int:
        count_ = len(system.settings.ridge)
        scored = count_ * len(select) * count.linear_flops(width, outputs)
        return count.ridge_flops(len(fit), width, outputs, count_) + scored

    if system.method == "logit_ensemble":
        yield Work(f"{name}/small-on-select", answers)
    elif system.method == "proxy_tuning":
        untuned = on_select + len(select) * count.linear_flops(small.width, outputs)
        yield Work(f"{name}/small-on-select", answers + untuned)
    elif system.method == "concat_probe":
        yield Work(f"{name}/small-on-fit", encoder_flops(small, fit))
        if (folds := options["folds"]) > 1:
            # Each of the folds trains on all of train but one part.
            passes = epochs(sizes, task, system.pair.small)
            train = passes * epoch(sizes, task, system.pair.small)[0]
            choice = passes * classifier_pass(sizes, task, "select", system.pair.small)
            yield Work(f"{name}/folds/train", (folds - 1) * train, "training")
            yield Work(f"{name}/folds/select", folds * choice)
        yield Work(f"{name}/small-on-select", on_select)
        yield Work(f"{name}/head", head(small.width + large.width), "closed form")
    elif system.method in LINKED:
        train, choice = _linking(sizes, task, system)
        yield Work(f"{name}/train", train, "training")
        yield Work(f"{name}/select", choice)
        if system.method == "calm":
            yield Work(f"{name}/small", encoder_pass(sizes, task, small, reader, "train") + on_select)
    elif system.method == "stitch":
        read = some_texts(sizes, task, system.pair.name, options["text_tokens"])
        parts = dict.fromkeys(("texts", "joint", "fit", "select", "head"), 0)
        for model in (small, large):
            parts["texts"] += encoder_flops(model, read)
        for cut in cuts(small.layers, large.layers, options["direction"]):
            run = functools.partial(stitched, small, large, cut)
            first, second = _in_order(small, large, cut)
            parts["joint"] += count.ridge_flops(int(read.sum()), first.width, second.width, 1)
            parts["fit"] += count.summed_flops(run, padded_lengths(fit))
            parts["select"] += count.summed_flops(run, padded_lengths(select))
            parts["head"] += head(second.width)
        for part, flops in parts.items():
            yield Work(f"{name}/{part}", flops, "closed form" if part in ("joint", "head") else "inference")
    else:
        sizes.unknown[f"method {system.method}: the FLOPs of its making, which the plan does not count"] = None


def _linking(sizes, task: str, system: System) -> tuple[int, int]:
    """FLOPs of training a composite's own weights, and of choosing the epoch, the untrained state included."""
    passes, reader = effective(system)["epochs"], system.pair.large
    lengths, select = (sizes.lengths(task, split, reader) for split in ("train", "select"))
    batch = sizes.grid.study.models[system.pair.small].finetune[task].batch_size
    batches = training_batches(lengths, batch, np.random.default_rng(0))
    train = count.summed_flops(lambda t: linked(sizes, task, system, t).step, padded_lengths(lengths, batches))
    one = count.summed_flops(lambda t: linked(sizes, task, system, t).given, padded_lengths(select))
    return passes * train, (1 + passes) * one


def linked(sizes, task: str, system: System, tokens: int) -> LinkedFlops:
    small, large = sizes.shapes(system.pair.name)
    depth_map, outputs = uniform(small.layers, large.layers), sizes.grid.row(task).outputs
    return linked_flops(system.method, small, large, depth_map, tokens, outputs)


def _in_order(small: Shape, large: Shape, cut: Cut) -> tuple[Shape, Shape]:
    """Shapes of the model below the cut, which reads the text, and of the one above it."""
    return (small, large) if cut.roles[0] == "small" else (large, small)


def stitched(small: Shape, large: Shape, cut: Cut, tokens: int) -> int:
    """FLOPs of a stitched encoder for one example."""
    return count.stitch_flops(*_in_order(small, large, cut), cut.below, cut.above, tokens)
