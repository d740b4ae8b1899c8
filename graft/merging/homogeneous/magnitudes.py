"""The k-th largest magnitude among numbers that come in blocks, exactly, in memory that does not grow with them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import numpy as np

from graft.merging.homogeneous.formats import Array

DIGIT = 16
DIGITS = 1 << DIGIT
# Adds up the counts of magnitudes by one of their digits, of those whose digits before are some prefix: [DIGITS].
Counting = Callable[[int, int], Array]


def digits(values: Array, shift: int, prefix: int) -> Array:
    """Counts [DIGITS] of |values| by the 16 bits of their representation from `shift` on, of those whose bits above
    are `prefix`. As bits, magnitudes are in the same order as their values."""
    bits = np.abs(values).reshape(-1).view(f"u{values.itemsize}")
    if shift + DIGIT < 8 * values.itemsize:
        bits = bits[bits >> (shift + DIGIT) == prefix] & ((1 << shift + DIGIT) - 1)
    return np.bincount((bits >> shift).astype(np.int64), minlength=DIGITS)


def kth_largest(count: Counting, ranks: Sequence[int], dtype: type) -> list[float]:
    """The magnitudes of these ranks (1: the largest), found digit by digit: two passes for float32, four for float64.

    `count(shift, prefix)` is `digits` summed over all values, which are of `dtype`.
    """
    whole = np.dtype(dtype)
    # All ranks begin with the same pass.
    count = functools.cache(count)
    found = []
    for rank in ranks:
        prefix = 0
        for shift in range(8 * whole.itemsize - DIGIT, -1, -DIGIT):
            # How many have this digit or a larger one.
            above = count(shift, prefix)[::-1].cumsum()[::-1]
            digit = int(np.flatnonzero(above >= rank)[-1])
            rank -= int(above[digit + 1]) if digit + 1 < DIGITS else 0
            prefix = prefix << DIGIT | digit
        found.append(float(np.array(prefix, f"u{whole.itemsize}").view(whole)))
    return found
