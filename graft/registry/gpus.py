"""GPUs by name, with their published peak throughput."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """Peak FLOP/s of dense matrix products: `bf16` on tensor cores, `fp32` on the plain cores (PyTorch's default), and
    `fp64` on tensor cores where these have it."""

    name: str
    bf16: float
    fp32: float
    fp64: float


# TFLOP/s without sparsity, from NVIDIA's data sheets (A100, H100, H200, L4, L40S, A10, A30, A40) and the white papers
# on GA102 and Ada (GeForce, with fp32 accumulation). Data sheets that give figures with sparsity were halved.
_TABLE = {
    "a10": (125, 31.2),
    "a30": (165, 10.3),
    "a40": (149.7, 37.4),
    "a100": (312, 19.5),
    "h100": (989, 67),
    "h100-pcie": (756, 51),
    "h200": (989, 67),
    "l4": (121, 30.3),
    "l40s": (362, 91.6),
    "rtx3090": (71, 35.6),
    "rtx4090": (165.2, 82.6),
}


# TFLOP/s in fp64 of tensor cores that have it; the others compute it at a 64th of fp32.
_FP64 = {"a30": 10.3, "a100": 19.5, "h100": 67, "h100-pcie": 51, "h200": 67}


def gpu(name: str) -> Gpu:
    """Return the GPU called `name`; raises ValueError with the known names."""
    if name not in _TABLE:
        raise ValueError(f"no GPU is called {name!r} here; available: {', '.join(_TABLE)}")
    bf16, fp32 = _TABLE[name]
    return Gpu(name, bf16 * 1e12, fp32 * 1e12, _FP64.get(name, fp32 / 64) * 1e12)


def named(text: str) -> str | None:
    """The GPU that a driver's text is about, as the table calls it."""
    words = "-".join(text.lower().split()).replace("rtx-", "rtx")
    found = (name for name in _TABLE if re.search(rf"\b{name}\b", words))
    return max(found, key=len, default=None)
