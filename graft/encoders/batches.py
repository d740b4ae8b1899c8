"""Batches of a fixed number of examples, bucketed by length so that little is padded."""

import numpy as np

# Batches per window: rows are sorted by length inside a window only, so that an epoch's order stays random. Wider ones
# pad less, and can cost quality: docs/results.md, "Fine-tuning".
WINDOW = 8
# Examples per batch of a forward pass without training.
INFERENCE_BATCH = 32


def unlabelled_window(texts: int, batch_size: int) -> int:
    """Batches per window of so many unlabelled texts, which are of several tasks and so of many lengths.

    A quarter of all and at most 50, as in Hugging Face's group_by_length, and no fewer than of labelled rows.
    """
    return min(max(texts // (4 * batch_size), WINDOW), 50)


def training_batches(
    lengths: np.ndarray, batch_size: int, rng: np.random.Generator, window: int = WINDOW
) -> list[np.ndarray]:
    """One epoch's row numbers, in batches of `batch_size` (the last may be smaller), in random order.

    `lengths` [rows] in tokens. Rows are shuffled, sorted by length within windows of so many batches, cut into batches,
    and the batches shuffled.
    """
    order = rng.permutation(len(lengths))
    span = window * batch_size
    batches = []
    for start in range(0, len(order), span):
        rows = order[start : start + span]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def passes(rows: np.ndarray, lengths: np.ndarray, processes: int, most: int | None) -> list[list[np.ndarray]]:
    """How processes share one batch's `rows`: for each pass, in which all take part, each process's rows.

    A pass has at most `most` tokens per process, padding with them (None: as many as come), or one row. Rows of a pass
    are of like length; a process gets none where a batch has fewer rows than processes.
    """
    if processes == 1 and most is None:
        return [[rows]]
    ordered = rows[np.argsort(lengths[rows], kind="stable")]
    for count in range(1, len(rows) + 1):
        shared = [[part[rank::processes] for rank in range(processes)] for part in np.array_split(ordered, count)]
        sizes = [len(own) * int(lengths[own].max()) for part in shared for own in part if len(own) > 1]
        if most is None or max(sizes, default=0) <= most:
            return shared
    raise AssertionError("one row in a pass is always allowed")


def guessed_tokens(maskable: np.ndarray, share: float) -> np.ndarray:
    """How many tokens masked language modelling masks in texts of so many `maskable` [rows] tokens: one at least."""
    return np.maximum(np.rint(share * maskable), 1).astype(np.int64)


def inference_batches(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """All row numbers once, longest first, in batches of rows of like length."""
    order = np.argsort(-lengths, kind="stable")
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def padded_lengths(lengths: np.ndarray, batches: list[np.ndarray] | None = None) -> np.ndarray:
    """Length in tokens at which each row is processed in `batches`, or else in a pass without training. [rows]"""
    padded = np.empty_like(lengths)
    for rows in inference_batches(lengths, INFERENCE_BATCH) if batches is None else batches:
        padded[rows] = lengths[rows].max()
    return padded


def padding_waste(lengths: np.ndarray, batches: list[np.ndarray]) -> float:
    """Share of the processed tokens that is padding."""
    processed = sum(len(b) * int(lengths[b].max()) for b in batches)
    return 1 - sum(int(lengths[b].sum()) for b in batches) / processed
