"""The result of an alignment: linear maps between two models' coordinates of one space."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Maps:
    """For centred activations, rows as tokens: h_L ~ h_S forward [w_S, w_L] and h_S ~ h_L backward [w_L, w_S]."""

    forward: Tensor
    backward: Tensor
