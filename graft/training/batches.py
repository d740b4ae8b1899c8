"""Batches of a fixed number of examples, bucketed by length so that little is padded."""

import numpy as np

# Batches per window: rows are sorted by length inside a window only, so that an epoch's order stays random.
WINDOW = 8


def training_batches(lengths: np.ndarray, batch_size: int, rng: np.random.Generator) -> list[np.ndarray]:
    """One epoch's row numbers, in batches of `batch_size` (the last may be smaller), in random order.

    `lengths` [rows] in tokens. Rows are shuffled, sorted by length within windows of 8 batches, cut into batches, and
    the batches shuffled.
    """
    order = rng.permutation(len(lengths))
    span = WINDOW * batch_size
    batches = []
    for start in range(0, len(order), span):
        window = order[start : start + span]
        window = window[np.argsort(lengths[window], kind="stable")]
        batches += [window[i : i + batch_size] for i in range(0, len(window), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def inference_batches(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """All row numbers once, longest first, in batches of rows of like length."""
    order = np.argsort(-lengths, kind="stable")
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def padding_waste(lengths: np.ndarray, batches: list[np.ndarray]) -> float:
    """Share of the processed tokens that is padding."""
    processed = sum(len(b) * int(lengths[b].max()) for b in batches)
    return 1 - sum(int(lengths[b].sum()) for b in batches) / processed
