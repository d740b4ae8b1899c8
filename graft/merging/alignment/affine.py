"""Fit linear maps between two models' coordinates of one space, in both directions, from moments of activations."""

from collections.abc import Callable

import torch
from torch import Tensor

from graft.merging.alignment.maps import Maps
from graft.merging.alignment.procrustes import procrustes
from graft.merging.moments import Moments
from graft.registry.alignments import ALIGNMENTS, EASY_RIDGE, PLANS

# Directions with less than this share of the largest eigenvalue (of standardised activations) count as null: the model
# does not vary along them on the calibration text, so nothing is read from or written to them.
NULL = 1e-11

Fit = Callable[[Moments], Maps]


def fit(alignment: str, ridge: float) -> Fit:
    """The function that fits maps by the named `alignment`; raises ValueError if it is unknown."""
    if alignment == "least_squares":
        return lambda moments: least_squares(moments, ridge)
    if alignment not in ALIGNMENTS:
        raise ValueError(f"no alignment is called {alignment!r}; available: {', '.join(ALIGNMENTS)}")
    if alignment in PLANS:
        from graft.merging.alignment.optimal_transport import transported

        return lambda moments: transported(moments, hard=alignment == "assignment")
    if alignment == "whitened":
        return lambda moments: whitened(moments, ridge)
    return lambda moments: orthogonal(moments, scaled=alignment == "scaled_procrustes")


def least_squares(moments: Moments, ridge: float) -> Maps:
    """Ridge regression in each direction, on standardised activations.

    `ridge` is a share of the mean diagonal of the standardised Gram matrix (1 per token). Constant units and null
    directions (see NULL) are left out. Raises ValueError if Gram matrices are missing.
    """
    centred = moments.centred()
    gram_small, gram_large = centred.grams
    forward = ridge_map(gram_small, centred.cross, moments.count, ridge)
    return Maps(forward, ridge_map(gram_large, centred.cross.T, moments.count, ridge))


def missed(moments: Moments, maps: Maps) -> float:
    """Share of the large activations' variance that the mapped small ones miss: |A_S P - A_L|^2 / |A_L|^2, centred."""
    centred, there = moments.centred(), maps.forward
    gram_small, gram_large = centred.grams
    mapped, total = (there * (gram_small @ there)).sum(), gram_large.trace()
    return float((mapped - 2 * (there * centred.cross).sum() + total) / total.clamp(min=1e-300))


def orthogonal(moments: Moments, scaled: bool) -> Maps:
    """Orthogonal Procrustes, with its transpose as the backward map; `scaled` fits one factor in each direction.

    The factor that minimises |s A_S T - A_L| is tr(T^T C) / |A_S|^2 = sum of C's singular values / |A_S|^2. Source:
    Schoenemann & Carroll 1970, Psychometrika 35.
    """
    cross = moments.centred_cross()
    turn = procrustes(cross)
    if not scaled:
        return Maps(turn, turn.T)
    agreement = (turn * cross).sum()
    there, back = agreement / moments.centred_small().trace(), agreement / moments.centred_large().trace()
    return Maps(there * turn, back * turn.T)


def whitened(moments: Moments, ridge: float) -> Maps:
    """Orthogonal Procrustes between whitened activations, mapped back to the original coordinates.

    Forward C_S^-1/2 Q C_L^1/2, backward C_L^-1/2 Q^T C_S^1/2, with Q the Procrustes map of C_S^-1/2 C C_L^-1/2: least
    squares without its canonical correlations, and so without its shrinkage. `ridge`, a share of each covariance's mean
    diagonal, is added to both covariances. Null directions (see NULL) are left out. Source: Kessy et al. 2018 (arXiv
    1512.00809) for whitening by the inverse square root.
    """
    centred = moments.centred()
    (white_s, colour_s), (white_l, colour_l) = (_roots(gram / moments.count, ridge) for gram in centred.grams)
    turn = procrustes(white_s @ (centred.cross / moments.count) @ white_l)
    return Maps(white_s @ turn @ colour_l, white_l @ turn.T @ colour_s)


def _roots(covariance: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """C^-1/2 and C^1/2 of a covariance plus a ridge, both without null directions."""
    values, vectors = torch.linalg.eigh(covariance)
    keep = values > NULL * values.max()
    values = values.clamp(min=0) + ridge * covariance.diagonal().mean()
    root = torch.where(keep, values, 0.0).sqrt()
    inverse = torch.where(keep, 1 / values.clamp(min=1e-300).sqrt(), 0.0)
    return (vectors * inverse) @ vectors.T, (vectors * root) @ vectors.T


def ridge_map(gram: Tensor, cross: Tensor, count: int, ridge: float) -> Tensor:
    """argmin over M [w, c] of |X M - Y|^2 + ridge n |D M|^2, D the standard deviations, from centred X^T X and X^T Y.

    `count` is the number n of tokens. A constant unit has zeros in its row and column.
    """
    variance = gram.diagonal() / count
    varies = variance > 0
    scale = varies / torch.where(varies, variance, 1.0).sqrt()
    # The upper triangle of the Gram matrix is never read.
    standardised, wanted = (scale[:, None] * gram).mul_(scale).div_(count), scale[:, None] * cross / count
    if ridge >= EASY_RIDGE:
        standardised.diagonal().add_(ridge)
        return scale[:, None] * torch.cholesky_solve(wanted, torch.linalg.cholesky(standardised))
    values, vectors = torch.linalg.eigh(standardised)
    keep = values > NULL * values.max()
    inverse = torch.where(keep, 1 / (values.clamp(min=0) + ridge).clamp(min=1e-300), 0.0)
    return scale[:, None] * (vectors @ (inverse[:, None] * (vectors.T @ wanted)))
