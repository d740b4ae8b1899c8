"""Linear maps between two models' coordinates of one space, both ways, from the moments of activations."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from graft.merging.alignment.maps import Maps
from graft.merging.alignment.procrustes import procrustes
from graft.merging.moments import Moments
from graft.merging.registry import ALIGNMENTS, PLANS

# Directions with less than this share of the largest eigenvalue (of standardised activations) count as null: neither
# model moves along them on the calibration text, so nothing is read from them or written to them.
NULL = 1e-11


Fit = Callable[[Moments], Maps]


def fit(alignment: str, ridge: float) -> Fit:
    """The way of fitting maps called `alignment`; raises ValueError for an unknown one."""
    if alignment == "least_squares":
        return lambda moments: least_squares(moments, ridge)
    if alignment not in ALIGNMENTS:
        raise ValueError(f"no alignment is called {alignment!r}; known are {', '.join(ALIGNMENTS)}")
    if alignment in PLANS:
        from graft.merging.alignment.optimal_transport import transported

        return lambda moments: transported(moments, hard=alignment == "assignment")
    return lambda moments: orthogonal(moments, scaled=alignment == "scaled_procrustes")


def least_squares(moments: Moments, ridge: float) -> Maps:
    """Ridge regression in each direction, on standardised activations.

    `ridge` is a share of the mean diagonal of the standardised Gram matrix (1 per token). Units that never vary are
    left out, and so are null directions (see NULL). Raises ValueError where Gram matrices are missing.
    """
    if moments.gram_small is None:
        raise ValueError("least squares needs Gram matrices, which this site was not calibrated for")
    centred = moments.centred()
    forward = ridge_map(centred.gram_small, centred.cross, moments.count, ridge)
    backward = ridge_map(centred.gram_large, centred.cross.T, moments.count, ridge)
    return Maps(forward, backward)


def orthogonal(moments: Moments, scaled: bool) -> Maps:
    """Orthogonal Procrustes, and its transpose as the way back; `scaled` fits one factor in each direction.

    The factor that minimises |s A_S T - A_L| is tr(T^T C) / |A_S|^2 = sum of C's singular values / |A_S|^2. Source:
    Schoenemann & Carroll 1970, Psychometrika 35.
    """
    cross = moments.centred_cross()
    turn = procrustes(cross)
    there = back = 1.0
    if scaled:
        agreement = (turn * cross).sum()
        there = agreement / moments.centred_small().trace()
        back = agreement / moments.centred_large().trace()
    return Maps(there * turn, back * turn.T)


def ridge_map(gram: Tensor, cross: Tensor, count: int, ridge: float) -> Tensor:
    """argmin over M [w, c] of |X M - Y|^2 + ridge n |D M|^2, D the standard deviations, from centred X^T X and X^T Y.

    `count` is the number n of tokens. A unit that never varies has zeros in its row and column.
    """
    variance = gram.diagonal() / count
    varies = variance > 0
    scale = varies / torch.where(varies, variance, 1.0).sqrt()
    values, vectors = torch.linalg.eigh(scale[:, None] * gram * scale / count)
    keep = values > NULL * values.max()
    inverse = torch.where(keep, 1 / (values.clamp(min=0) + ridge).clamp(min=1e-300), 0.0)
    right = vectors.T @ (scale[:, None] * cross / count)
    return scale[:, None] * (vectors @ (inverse[:, None] * right))
