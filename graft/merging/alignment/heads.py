"""Maps between attention heads: which large head goes with which small one, and a map for each such pair."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from graft.merging.alignment.affine import Fit
from graft.merging.alignment.maps import Maps
from graft.merging.moments import Moments


def match(moments: Moments, small_heads: int, large_heads: int) -> list[int]:
    """Small head for each large head, by linear CKA of their units' activations.

    With as many heads the assignment is one to one with the largest sum (Hungarian method); otherwise each small
    head first gets its best large one, and large heads left over take the small head most like them.
    """
    similarity = torch.zeros(large_heads, small_heads, dtype=torch.float64)
    for j, large in enumerate(_slices(len(moments.large), large_heads)):
        for i, small in enumerate(_slices(len(moments.small), small_heads)):
            block = moments.block(small, large)
            norms = block.centred_small().norm() * block.centred_large().norm()
            similarity[j, i] = block.centred_cross().norm() ** 2 / norms.clamp(min=1e-300)
    found = similarity.argmax(dim=1).tolist()
    for j, i in zip(*linear_sum_assignment(similarity.numpy(), maximize=True), strict=True):
        found[j] = int(i)
    return found


def per_head(moments: Moments, fit: Fit, matched: list[int], small_heads: int) -> Maps:
    """Maps that send each small head to its large heads only, and back: zero between heads that are not matched."""
    small = _slices(len(moments.small), small_heads)
    large = _slices(len(moments.large), len(matched))
    forward, backward = torch.zeros_like(moments.cross), torch.zeros_like(moments.cross.T)
    for i, units in enumerate(small):
        targets = [j for j, of in enumerate(matched) if of == i]
        if not targets:
            continue
        columns = torch.cat([_range(large[j]) for j in targets]).to(moments.cross.device)
        maps = fit(_columns(moments, units, columns))
        forward[units, columns] = maps.forward
        backward[columns, units] = maps.backward
    return Maps(forward, backward, moments.mean_small, moments.mean_large)


def _columns(moments: Moments, small: slice, large: Tensor) -> Moments:
    return Moments(
        moments.count,
        moments.small[small],
        moments.large[large],
        moments.cross[small][:, large],
        moments.gram_small[small, small],
        moments.gram_large[large][:, large],
    )


def _range(part: slice) -> Tensor:
    return torch.arange(part.start, part.stop)


def _slices(units: int, heads: int) -> list[slice]:
    width = units // heads
    return [slice(i * width, (i + 1) * width) for i in range(heads)]
