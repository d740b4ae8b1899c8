"""The orthogonal map between two models' activations."""

import torch
from torch import Tensor

NULL = 1e-6


def procrustes(cross: Tensor) -> Tensor:
    """The map T [w_S, w_L] = U V^T from the products C = A_S^T A_L [w_S, w_L] = U S V^T of activations, in float64.

    For w_S <= w_L it minimises |A_S T - A_L| over matrices with orthonormal rows. It preserves lengths, so it does not
    match scales. Directions at or below NULL times the largest singular value are mapped to 0: a layer's outputs have
    at most the rank of its inputs, and for the rest the formula gives rounding noise of unit length.
    Source: Schoenemann 1966, Psychometrika 31, for equal widths; Rinaldi et al. 2026, arXiv 2602.12952, for unequal
    ones. Raises ValueError if `cross` is not a finite matrix.
    """
    if cross.ndim != 2 or not torch.isfinite(cross).all():
        raise ValueError(f"cross-covariance of shape {list(cross.shape)} must be a matrix of finite numbers")
    left, values, right = torch.linalg.svd(cross.double(), full_matrices=False)
    return (left * (values > NULL * values.max())) @ right
