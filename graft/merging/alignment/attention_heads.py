"""Match the attention heads of two models, and fit maps between matched heads."""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from graft.merging.alignment.affine import Fit
from graft.merging.alignment.maps import Maps
from graft.merging.moments import Moments


def match(moments: Moments, small_heads: int, large_heads: int) -> list[int]:
    """The small head matched to each large head, by linear CKA of their units' activations.

    An assignment with the largest total similarity (Hungarian method) matches heads one to one. Large heads left over
    take the small head most similar to them.
    """
    similarity = torch.zeros(large_heads, small_heads, dtype=torch.float64, device="cpu")
    for j, large in enumerate(_units(len(moments.large), large_heads)):
        for i, small in enumerate(_units(len(moments.small), small_heads)):
            block = moments.block(small, large)
            norms = block.centred_small().norm() * block.centred_large().norm()
            similarity[j, i] = block.centred_cross().norm() ** 2 / norms.clamp(min=1e-300)
    found = similarity.argmax(dim=1).tolist()
    for j, i in zip(*linear_sum_assignment(similarity.numpy(), maximize=True), strict=True):
        found[j] = int(i)
    return found


def per_head(moments: Moments, fit: Fit, matched: list[int], small_heads: int) -> Maps:
    """Fit maps between each small head and its large heads; entries between unmatched heads are zero."""
    large = _units(len(moments.large), len(matched))
    forward, backward = torch.zeros_like(moments.cross), torch.zeros_like(moments.cross.T)
    for i, units in enumerate(_units(len(moments.small), small_heads)):
        targets = [large[j] for j, of in enumerate(matched) if of == i]
        if targets:
            columns = torch.cat(targets)
            maps = fit(moments.block(units, columns))
            forward[units[:, None], columns] = maps.forward
            backward[columns[:, None], units] = maps.backward
    return Maps(forward, backward)


def _units(width: int, heads: int) -> tuple[Tensor, ...]:
    return torch.arange(width, device="cpu").split(width // heads)
