"""Transport a change of weights from one model's coordinates to another's."""

import torch
from torch import Tensor

from graft.merging.alignment.maps import Maps
from graft.merging.moments import Moments


def linear(
    weight: Tensor, bias: Tensor, entry: Maps, exit: Tensor, seen: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Changes dW_L [out_L, in_L] and db_L [out_L] of a large linear layer from the small one's [out_S, in_S], [out_S].

    The small layer's output changes by dW x_S + db. With x_S = (x_L - m_L) R + m_S at its entry and P [out_S, out_L] at
    its exit, dW_L = P^T dW R^T and db_L = P^T (db + dW m_S) - dW_L m_L. `seen`: the means m_S, m_L of this layer's own
    inputs.
    """
    moved = exit.T @ weight @ entry.backward.T
    return moved, exit.T @ (bias + weight @ seen[0]) - moved @ seen[1]


def before_norm(
    forward: Tensor, small_gain: Tensor, large_gain: Tensor, small_spread: float, large_spread: float
) -> Tensor:
    """Convert the forward map P [w_S, w_L] of a LayerNorm's outputs to one of its inputs.

    With h = n g + b and n = (u - mean) / s, outputs related by P belong to inputs related by
    diag(g_S) P diag(1 / g_L) s_L / s_S, where s is the typical standard deviation of an input. For copies and
    permutations of units this is P itself. Gains of the large model near zero are raised to a tenth of the mean
    magnitude.
    """
    floor = 0.1 * large_gain.abs().mean()
    gain = torch.where(large_gain.abs() < floor, floor * torch.where(large_gain < 0, -1.0, 1.0), large_gain)
    return small_gain[:, None] * forward / gain * (large_spread / small_spread)


def norm(
    change: tuple[Tensor, Tensor],
    small: tuple[Tensor, Tensor],
    large: tuple[Tensor, Tensor],
    seen: Moments,
    forward: Tensor,
) -> tuple[Tensor, Tensor]:
    """Changes of a large LayerNorm's gain and bias [w_L] from the small one's [w_S], fitted unit by unit.

    `change`, `small`, `large`: (gain, bias) of the small one's change and of the two pre-trained LayerNorms; `seen`:
    the moments of their outputs, which `forward` P maps. A LayerNorm h = n g + b changes by n dg + db. The small one's
    change, mapped by P, mixes units, which a gain cannot express, so dg_L and db_L are its least-squares fit on the
    large one's n. Exact for copies and permutations of units.
    """
    # n dg + db as a function of the output h: h * slope + offset.
    usable = small[0].abs() > 1e-12
    slope = torch.where(usable, change[0] / torch.where(usable, small[0], 1.0), 0.0)
    offset = change[1] - small[1] * slope
    covariance = ((slope[:, None] * forward) * seen.centred_cross()).sum(0)  # of the mapped change with h_L
    variance = seen.centred_large().diagonal()
    varies = variance > 1e-14 * seen.grams[1].diagonal()
    on_output = covariance * varies / torch.where(varies, variance, 1.0)
    mean_change = (seen.mean_small * slope + offset) @ forward
    return on_output * large[0], mean_change + on_output * (large[1] - seen.mean_large)
