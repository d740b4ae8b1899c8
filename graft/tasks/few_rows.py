"""Draw the few rows whose labels a system sees."""

import numpy as np

# Begins the seeds of these draws, so that they differ from all others with the same seed.
_SEED = 20_27


def few_rows(labels: np.ndarray, seed: int, number: int | None = None, classes: bool = False) -> tuple[np.ndarray, ...]:
    """Draw `number` rows (or all, if there are fewer) and halve them: rows to fit on, and rows for choices, in order.

    labels: [rows]; of `classes`, both halves have nearly their shares. More rows of the same seed contain fewer.
    """
    order = np.random.default_rng((_SEED, seed)).permutation(len(labels))
    if classes:
        _, kinds, sizes = np.unique(labels[order], return_inverse=True, return_counts=True)
        places = np.empty(len(order))
        for kind, size in enumerate(sizes):
            places[kinds == kind] = (np.arange(size) + 0.5) / size
        order = order[np.argsort(places, kind="stable")]
    drawn = order[:number]
    return tuple(np.sort(half) for half in np.split(drawn, [(len(drawn) + 1) // 2]))
