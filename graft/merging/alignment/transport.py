"""Carrying a change of weights from one model's coordinates into another's."""

from __future__ import annotations

import torch
from torch import Tensor

from graft.merging.alignment.maps import Maps
from graft.merging.moments import Moments


def linear(weight: Tensor, bias: Tensor, entry: Maps, exit: Maps) -> tuple[Tensor, Tensor]:
    """Changes dW_L [out_L, in_L] and db_L [out_L] of a large linear layer from the small one's [out_S, in_S], [out_S].

    The small layer's output changes by dW x_S + db. With x_S = (x_L - m_L) R + m_S at its entry and the forward map P
    at its exit, dW_L = P^T dW R^T and db_L = P^T (db + dW m_S) - dW_L m_L.
    """
    moved = exit.forward.T @ weight @ entry.backward.T
    return moved, exit.forward.T @ (bias + weight @ entry.mean_small) - moved @ entry.mean_large


def norm(
    change: tuple[Tensor, Tensor], small: tuple[Tensor, Tensor], large: tuple[Tensor, Tensor], seen: Moments, maps: Maps
) -> tuple[Tensor, Tensor]:
    """Changes of a large LayerNorm's gain and bias [w_L] from the small one's [w_S], fitted unit by unit.

    `change`, `small`, `large`: (gain, bias) of the small one's change and of the two pre-trained LayerNorms; `seen`:
    the moments of their outputs. A LayerNorm h = n g + b changes by n dg + db. That change of the small one, mapped by
    P, mixes its units, which a gain cannot write: so dg_L, db_L are the least squares fit of it on the large one's n.
    Exact for copies and permutations of units.
    """
    # n dg + db as a function of the output h: h * slope + offset.
    slope = change[0] / small[0]
    offset = change[1] - small[1] * slope
    covariance = ((slope[:, None] * maps.forward) * seen.centred_cross()).sum(0)  # of the mapped change with h_L
    variance = seen.centred_large().diagonal()
    varies = variance > 1e-14 * seen.gram_large.diagonal()
    on_output = covariance * varies / torch.where(varies, variance, 1.0)
    mean_change = (seen.mean_small * slope + offset) @ maps.forward
    return on_output * large[0], mean_change + on_output * (large[1] - seen.mean_large)
