"""Inner products of blocks, and the matrix factorisations that some merges need, on the CPU or a GPU."""

from __future__ import annotations

import threading

import numpy as np

from graft.merging.homogeneous.formats import Array

# torch sets up its linear algebra on a GPU in the first call, which two threads may not make at once.
_ON_GPU = threading.Lock()


def inner(one: Array, other: Array) -> float:
    """Sum of products of two blocks of one shape, added up in float64."""
    return float((one * other).sum(dtype=np.float64))


def svd(matrix: Array, device: str) -> tuple[Array, Array, Array]:
    """Thin singular value decomposition: U [m, k], s [k] falling, V^T [k, n] with k = min(m, n), in one dtype."""
    if device == "cpu":
        return np.linalg.svd(matrix, full_matrices=False)
    import torch

    with _ON_GPU:
        return tuple(part.cpu().numpy() for part in torch.linalg.svd(torch.from_numpy(matrix).to(device), False))


def solve(left: Array, right: Array, device: str) -> Array:
    """X of left X = right, left [n, n] symmetric and positive definite, in float64."""
    if device == "cpu":
        return np.linalg.solve(left, right)
    import torch

    with _ON_GPU:
        return torch.linalg.solve(*(torch.from_numpy(side).to(device) for side in (left, right))).cpu().numpy()
