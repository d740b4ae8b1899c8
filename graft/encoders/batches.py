"""Batches of a fixed number of examples, bucketed by length to save padding."""

import numpy as np

# Batches per window: rows are sorted by length only within a window, so that an epoch's order stays random. Wider
# windows pad less, but can cost quality: docs/trials.md, "Windows of batches".
WINDOW = 8
# Examples per batch of a forward pass without training.
INFERENCE_BATCH = 32


def unlabelled_window(texts: int, batch_size: int) -> int:
    """Batches per window for `texts` unlabelled texts, which come from several tasks and so vary in length.

    A quarter of all batches and at most 50, as in Hugging Face's group_by_length, but at least WINDOW.
    """
    return min(max(texts // (4 * batch_size), WINDOW), 50)


def training_batches(
    lengths: np.ndarray, batch_size: int, rng: np.random.Generator, window: int = WINDOW
) -> list[np.ndarray]:
    """Return one epoch's row numbers, in batches of `batch_size` (one may be smaller), in random order.

    `lengths` [rows] in tokens. Rows are shuffled, sorted by length within windows of `window` batches and cut into
    batches, which are shuffled.
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
    """Divide one batch's `rows` into passes in which all processes take part; returns each pass's rows per process.

    In a pass, a process has at most `most` tokens, padding included (None: no limit), or a single row. The rows of a
    pass have similar lengths; a process may get none if there are fewer rows than processes.
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
    """Return how many of each text's `maskable` [rows] tokens masked language modelling masks: at least one."""
    return np.maximum(np.rint(share * maskable), 1).astype(np.int64)


def inference_batches(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Return every row number once, longest first, in batches of rows of similar length."""
    order = np.argsort(-lengths, kind="stable")
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def padded_lengths(lengths: np.ndarray, batches: list[np.ndarray] | None = None) -> np.ndarray:
    """Return each row's padded length in tokens in `batches`, by default those of inference. [rows]"""
    padded = np.empty_like(lengths)
    if batches := inference_batches(lengths, INFERENCE_BATCH) if batches is None else batches:
        rows, sizes = np.concatenate(batches), [*map(len, batches)]
        longest = np.maximum.reduceat(lengths[rows], np.cumsum([0, *sizes[:-1]]))
        padded[rows] = np.repeat(longest, sizes)
    return padded


def padding_waste(lengths: np.ndarray, batches: list[np.ndarray]) -> float:
    """Return the share of padding among the processed tokens."""
    processed = sum(len(b) * int(lengths[b].max()) for b in batches)
    return 1 - sum(int(lengths[b].sum()) for b in batches) / processed
