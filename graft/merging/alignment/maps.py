"""What an alignment finds: affine maps between two models' coordinates of one space."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Maps:
    """h_L ~ (h_S - mean_small) forward + mean_large and h_S ~ (h_L - mean_large) backward + mean_small, rows as tokens.

    forward [w_S, w_L], backward [w_L, w_S], means [w_S] and [w_L]; float64.
    """

    forward: Tensor
    backward: Tensor
    mean_small: Tensor
    mean_large: Tensor
