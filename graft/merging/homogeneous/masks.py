"""Random numbers that depend on seed, tensor name and model number alone, not on sharding, threads or block size."""

import hashlib

import numpy as np

from graft.merging.homogeneous.formats import Array

# Numbers are drawn from 0 to 2^32 - 1.
RANGE = 1 << 32


def draws(seed: int, name: str, model: int, start: int, count: int) -> Array:
    """Draw uint32 numbers for elements start to start + count of a tensor in model number `model`.

    Each (seed, model, tensor name) has its own stream. The generator, PCG64DXSM, can jump to any position, so an
    element's number is the same however the tensor is split into blocks.
    """
    key = hashlib.sha256(f"{seed}/{model}/{name}".encode()).digest()
    generator = np.random.PCG64DXSM(int.from_bytes(key, "big"))
    # Each step yields 64 bits: two elements.
    generator.advance(start // 2)
    steps = (start + count + 1) // 2 - start // 2
    words = np.random.Generator(generator).integers(0, RANGE * RANGE, size=steps, dtype=np.uint64)
    return words.astype("<u8", copy=False).view("<u4")[start % 2 :][:count]
