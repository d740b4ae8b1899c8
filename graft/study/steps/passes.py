"""FLOPs of passes and epochs over a task's rows, which several steps consist of. Imports no torch."""

import functools
from collections.abc import Callable

import numpy as np

from graft.config.systems import LoraSystem
from graft.encoders.batches import padded_lengths, training_batches
from graft.flops import counts as count
from graft.registry.shapes import Shape
from graft.study.sizes import Sizes


def encoder_pass(sizes: Sizes, task: str, shape: Shape, reads_as: str, *splits: str) -> int:
    """FLOPs of one pass of an encoder over whole splits, truncated for the model `reads_as`."""
    lengths = (sizes.lengths(task, split, reads_as) for split in splits)
    return sum(encoder_flops(shape, own) for own in lengths)


def encoder_flops(shape: Shape, lengths: np.ndarray) -> int:
    """FLOPs of an encoder over rows of these lengths in tokens, batched for inference."""
    return count.summed_flops(lambda t: count.encoder_flops(shape, t), padded_lengths(lengths))


def classifier_flops(shape: Shape, outputs: int, lengths: np.ndarray) -> int:
    """FLOPs of a classifier over rows of these lengths in tokens, batched for inference."""
    return count.summed_flops(lambda t: count.classifier_flops(shape, t, outputs), padded_lengths(lengths))


def classifier_pass(
    sizes: Sizes, task: str, split: str, model: str, adapters: LoraSystem | None = None, reads_as: str | None = None
) -> int:
    """FLOPs of one pass of a classifier over a split; texts are truncated for it, or for the model `reads_as`."""
    forward = _classifier(sizes, task, model, adapters)
    return count.summed_flops(lambda t: forward(t)[0], padded_lengths(sizes.lengths(task, split, reads_as or model)))


@functools.cache  # every seed trains on as many tokens
def epoch(sizes: Sizes, task: str, model: str, adapters: LoraSystem | None = None) -> tuple[int, int]:
    """FLOPs of one epoch of training, as computed, and its number of optimizer steps."""
    settings = sizes.grid.study.models[model].finetune[task]
    lengths = sizes.task(task).lengths("train", settings.max_tokens)
    batches = training_batches(lengths, settings.batch_size, np.random.default_rng(0))
    if not adapters:
        return training(sizes, sizes.shape(model), sizes.grid.row(task).outputs, lengths, batches), len(batches)
    forward = _classifier(sizes, task, model, adapters)
    return count.summed_flops(lambda t: forward(t)[1], padded_lengths(lengths, batches)), len(batches)


def training(sizes: Sizes, shape: Shape, outputs: int, lengths: np.ndarray, batches: list[np.ndarray]) -> int:
    """FLOPs, as computed, of training a classifier on batches of rows of these lengths in tokens."""
    if sizes.packs:
        return sum(count.training_flops(count.packed_flops(shape, lengths[rows], outputs)) for rows in batches)
    padded = padded_lengths(lengths, batches)
    return count.training_flops(count.summed_flops(lambda t: count.classifier_flops(shape, t, outputs), padded))


def epochs(sizes: Sizes, task: str, model: str) -> int:
    """Epochs of a fine-tuning; with a grid of hyperparameters, the largest number in it."""
    settings = sizes.grid.study.models[model].finetune[task]
    return max((tried.epochs for tried in settings.tried()), default=settings.epochs)


def _classifier(sizes: Sizes, task: str, model: str, adapters: LoraSystem | None) -> Callable[[int], tuple[int, int]]:
    """Function from tokens to FLOPs of one example's forward pass, and of its share of a training step."""
    shape, outputs = sizes.shape(model), sizes.grid.row(task).outputs
    if adapters:
        return lambda t: count.lora_flops(shape, t, outputs, adapters.rank, adapters.targets)
    forward = functools.partial(count.classifier_flops, shape, outputs=outputs)
    return lambda t: (forward(t), count.training_flops(forward(t)))


@functools.cache  # the same for every seed
def fit_lengths(sizes: Sizes, task: str, pair: str, rows: int) -> np.ndarray:
    """Tokens of the train rows on which heads are fitted."""
    lengths = sizes.lengths(task, "train", sizes.grid.pair(pair).large)
    return np.random.default_rng(0).choice(lengths, min(rows, len(lengths)), replace=False)
