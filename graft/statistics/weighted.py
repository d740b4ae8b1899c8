"""Compute task metrics of many prediction vectors under many weightings of the examples at once.

Weights are counts: of each example in a bootstrap draw, or 0 for an example that is left out. A metric under weights is
the metric of the examples with each repeated as often as its weight says.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

# Columns of weights that are ranked together: with 1,500 examples they fit a core's cache.
_BLOCK = 64
# Examples per block of a cumulative sum.
_RUN = 16


def metric_under(metric: str, predictions: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The metric of every prediction vector under every weighting: [r, b] float64.

    metric: a name in `registry.tasks.METRICS`. predictions: [r, n] class ids or scores; labels: [n]. weights: [n, b],
    non-negative whole numbers (ranks count examples) in the dtype used for sums. A correlation with constant values is
    0, as in `tasks.scores`.
    """
    return _METRICS[metric](predictions, labels, weights)


def _accuracy(predictions: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return _ratio(_weight(predictions == labels, weights), weights.sum(axis=0, dtype=np.float64))


def _f1(predictions: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    hit, predicted, true = _counts(predictions, labels, weights, 1)
    return _ratio(2 * hit, predicted + true)


def _f1_macro(predictions: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = classes = np.zeros(1)
    for c in np.union1d(predictions, labels):
        hit, predicted, true = _counts(predictions, labels, weights, c)
        total, classes = total + _ratio(2 * hit, predicted + true), classes + (predicted + true > 0)
    return _ratio(total, classes)


def _matthews(predictions: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Gorodkin 2004, R_K: (n hits - sum predicted true) / sqrt((n^2 - sum predicted^2) (n^2 - sum true^2))."""
    n = weights.sum(axis=0, dtype=np.float64)
    hits = both = told_squared = true_squared = np.zeros(1)
    for c in np.union1d(predictions, labels):
        hit, predicted, true = _counts(predictions, labels, weights, c)
        hits, both = hits + hit, both + predicted * true
        told_squared, true_squared = told_squared + predicted**2, true_squared + true**2
    return _ratio(n * hits - both, np.sqrt((n**2 - told_squared) * (n**2 - true_squared)))


def _counts(predictions: np.ndarray, labels: np.ndarray, weights: np.ndarray, c: int) -> tuple[np.ndarray, ...]:
    """A class's weight of true positives [r, b], of predictions [r, b] and of labels [1, b]."""
    predicted, true = predictions == c, (labels == c)[None]
    return _weight(predicted & true, weights), _weight(predicted, weights), _weight(true, weights)


def _weight(chosen: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (chosen.astype(weights.dtype) @ weights).astype(np.float64)


def _pearson(predictions: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    n = weights.sum(axis=0, dtype=np.float64)
    # Centre and scale first, so that sums of squares lose no digits; constants stay exactly 0.
    x, y = _standard(predictions).astype(weights.dtype), _standard(labels[None]).astype(weights.dtype)

    def mean(values: np.ndarray) -> np.ndarray:
        return (values @ weights).astype(np.float64) / n

    mx, my = mean(x), mean(y)
    xx, yy = mean(x * x) - mx**2, mean(y * y) - my**2
    # Unweighted variances are 1, so a variance this small is a constant's rounding error.
    return np.where((xx > 1e-6) & (yy > 1e-6), _correlation(mean(x * y) - mx * my, xx, yy), 0.0)


def _standard(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=1, keepdims=True, dtype=np.float64)
    centred[np.ptp(values, axis=1) == 0] = 0
    spread = np.sqrt((centred**2).mean(axis=1, keepdims=True))
    return _ratio(centred, spread)


def _spearman(predictions: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    out = np.empty((len(predictions), weights.shape[1]))
    sums = weights.sum(axis=0)
    orders = [_order(row) for row in predictions]
    label_order = _order(labels)

    def block(start: int) -> None:
        part = np.s_[:, start : start + _BLOCK]
        w, n = np.ascontiguousarray(weights[part]), sums[start : start + _BLOCK]
        y = _ranks(w, n, *label_order)
        yy = _sum(w * y, y)
        for i, (order, starts) in enumerate(orders):
            x = _ranks(w, n, order, starts)
            wx = w * x
            out[i, start : start + _BLOCK] = _correlation(_sum(wx, y), _sum(wx, x), yy)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(block, range(0, weights.shape[1], _BLOCK)))
    return out


def _order(values: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The examples in ascending order, and where each run of equal values starts (None if no two are equal)."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=np.nan) != 0)
    return order, None if len(starts) == len(values) else starts


def _ranks(weights: np.ndarray, n: np.ndarray, order: np.ndarray, starts: np.ndarray | None) -> np.ndarray:
    """Centred mid-ranks, [n, b]: the weight of smaller examples plus half the weight of equal ones, minus the mean."""
    own = weights[order]
    own = own if starts is None else np.add.reduceat(own, starts, axis=0)
    middle = _cumulative(own)
    own *= 0.5
    middle -= own
    middle -= n / 2
    if starts is not None:
        middle = np.repeat(middle, np.diff(starts, append=len(order)), axis=0)
    ranks = np.empty_like(middle)
    ranks[order] = middle
    return ranks


def _cumulative(x: np.ndarray) -> np.ndarray:
    """Compute np.cumsum(x, axis=0) of [n, b] twice as fast: triangular products within blocks, then block sums."""
    n, b = x.shape
    whole = n // _RUN
    out = np.empty_like(x)
    runs = out[: whole * _RUN].reshape(whole, _RUN, b)
    np.matmul(np.tri(_RUN, dtype=x.dtype), x[: whole * _RUN].reshape(whole, _RUN, b), out=runs)
    runs[1:] += np.cumsum(runs[:-1, -1], axis=0)[:, None]
    before = runs[-1, -1] if whole else np.zeros(b, x.dtype)
    out[whole * _RUN :] = before + np.cumsum(x[whole * _RUN :], axis=0)
    return out


def _sum(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.einsum("nb,nb->b", x, y).astype(np.float64)


def _both(predictions: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (_pearson(predictions, labels, weights) + _spearman(predictions, labels, weights)) / 2


def _correlation(xy: np.ndarray, xx: np.ndarray, yy: np.ndarray) -> np.ndarray:
    return _ratio(xy, np.sqrt(np.maximum(xx * yy, 0)))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, or 0 where `below` is 0."""
    above, below = np.broadcast_arrays(above, below)
    return np.divide(above, below, out=np.zeros(above.shape), where=below != 0)


_METRICS = {
    "accuracy": _accuracy,
    "f1": _f1,
    "f1_macro": _f1_macro,
    "matthews_correlation": _matthews,
    "pearson": _pearson,
    "spearman": _spearman,
    "correlation": _both,
}
