"""Inner products of blocks, and the matrix factorisations that some merges need, on the CPU or a GPU."""

import threading

import numpy as np

from graft.merging.homogeneous.formats import Array

# torch initialises its GPU linear algebra in the first call, which is not thread-safe.
_ON_GPU = threading.Lock()


def inner(one: Array, other: Array) -> float:
    """Inner product of two blocks of one shape, summed in float64."""
    return float((one * other).sum(dtype=np.float64))


def svd(matrix: Array, device: str) -> tuple[Array, Array, Array]:
    """Thin singular value decomposition: U [m, k], s [k] in descending order, V^T [k, n]; k = min(m, n)."""
    if device == "cpu":
        return np.linalg.svd(matrix, full_matrices=False)
    import torch

    with _ON_GPU:
        return tuple(part.cpu().numpy() for part in torch.linalg.svd(torch.from_numpy(matrix).to(device), False))


def solve(left: Array, right: Array, device: str) -> Array:
    """Solve left X = right for X in float64; left [n, n] is symmetric and positive definite."""
    if device == "cpu":
        return np.linalg.solve(left, right)
    import torch

    with _ON_GPU:
        return torch.linalg.solve(*(torch.from_numpy(side).to(device) for side in (left, right))).cpu().numpy()
