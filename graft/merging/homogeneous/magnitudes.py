"""Find the exact k-th largest magnitude of numbers that come in blocks, in constant memory."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from graft.merging.homogeneous.formats import Array
from graft.merging.homogeneous.models import Models
from graft.merging.homogeneous.protocol import Each

DIGIT = 16
DIGITS = 1 << DIGIT
# Maps (shift, prefix) to counts [DIGITS] by one digit, of the magnitudes whose higher digits are `prefix`.
Counting = Callable[[int, int], Array]


def digits(values: Array, shift: int, prefix: int) -> Array:
    """Count |values| by the 16 bits of their representation from `shift` up, if the bits above are `prefix`. [DIGITS]

    The bits of non-negative floats sort in the same order as their values.
    """
    bits = np.abs(values).reshape(-1).view(f"u{values.itemsize}")
    if shift + DIGIT < 8 * values.itemsize:
        bits = bits[bits >> (shift + DIGIT) == prefix] & ((1 << shift + DIGIT) - 1)
    return np.bincount((bits >> shift).astype(np.int64), minlength=DIGITS)


def kth_largest(count: Counting, ranks: Sequence[int], dtype: type) -> list[float]:
    """Find the magnitudes of these ranks (1: the largest), digit by digit: two passes for float32, four for float64.

    `count(shift, prefix)` is `digits` summed over all values, which are of `dtype`.
    """
    whole = np.dtype(dtype)
    # All ranks share the first pass.
    count = functools.cache(count)
    found = []
    for rank in ranks:
        prefix = 0
        for shift in range(8 * whole.itemsize - DIGIT, -1, -DIGIT):
            # How many values have this digit or a larger one.
            above = count(shift, prefix)[::-1].cumsum()[::-1]
            digit = int(np.flatnonzero(above >= rank)[-1])
            rank -= int(above[digit + 1]) if digit + 1 < DIGITS else 0
            prefix = prefix << DIGIT | digit
        found.append(float(np.array(prefix, f"u{whole.itemsize}").view(whole)))
    return found


def of_changes(models: Models, model: int, names: Sequence[str], each: Each, ranks: Sequence[int]) -> list[float]:
    """Find the magnitudes of these ranks among one model's changes of some tensors; 0 if these have no elements."""
    if not any(models.origin.tensors[name].count for name in names):
        return [0.0] * len(ranks)
    alone = replace(models, tuned=(models.tuned[model],), weights=(1.0,))
    dtype = np.float64 if any(alone.dtype(name) is np.float64 for name in names) else np.float32

    def count(shift: int, prefix: int) -> Array:
        def of(name: str) -> Array:
            changes = (block.deltas[0].astype(dtype, copy=False) for block in alone.blocks(name))
            return sum((digits(change, shift, prefix) for change in changes), np.zeros(DIGITS, np.int64))

        return sum(each(of, names), np.zeros(DIGITS, np.int64))

    return kth_largest(count, ranks, dtype)
