"""Convert numbers between the dtypes that safetensors files store and those that merges compute in."""

from collections.abc import Collection
from typing import Any

import numpy as np

Array = np.ndarray
# The numpy dtype of each safetensors dtype. numpy has no bfloat16; its 16 bits are the upper half of a float32's.
STORED: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
FLOATING = ("F64", "F32", "F16", "BF16")
# Names that --dtype and a model's config use.
NAMES = {"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"}


def widened(stored: Array, dtype: str, wanted: np.dtype) -> Array:
    """Convert stored floating-point numbers exactly to the compute dtype, float32 or float64."""
    if dtype == "BF16":
        stored = (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.astype(wanted, copy=False)


def narrowed(values: Array, dtype: str) -> Array:
    """Round computed numbers to the stored dtype; raises OverflowError if a result is not finite."""
    if dtype == "BF16":
        bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
        # Round to nearest, ties to even: up if the cut-off part is more than half, or exactly half and the rest is odd.
        stored = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
        fits = bool(((stored & 0x7F80) != 0x7F80).all())
    else:
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(values).astype(STORED[dtype], copy=False)
        fits = finite(stored)
    if not fits:
        raise OverflowError(f"holds values that are not finite in {dtype}")
    return stored


def widest(dtypes: Collection[str]) -> str:
    """The floating-point dtype that holds all of these without loss; float16 and bfloat16 together need float32."""
    return "F32" if set(dtypes) == {"F16", "BF16"} else min(dtypes, key=FLOATING.index)


def finite(values: Array) -> bool:
    """Whether no value is NaN or infinite."""
    return bool(np.isfinite(values).all())
