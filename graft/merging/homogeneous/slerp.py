"""Spherical interpolation between two models, tensor by tensor."""

import math
from typing import Any

from graft.merging.homogeneous.formats import Array
from graft.merging.homogeneous.models import Block, Models
from graft.merging.homogeneous.products import inner
from graft.merging.homogeneous.protocol import Method

# Above this cosine the arc is practically a line, and sin(angle) is too small to divide by.
PARALLEL = 0.9995


def coefficients(cosine: float, share: float) -> tuple[float, float]:
    """Coefficients of the ends v_0 and v_1 at t = `share` of the way from v_0 to v_1:
    sin((1 - t) angle) / sin(angle) and sin(t angle) / sin(angle)."""
    if abs(cosine) > PARALLEL:
        return 1 - share, share
    angle = math.acos(cosine)
    return math.sin((1 - share) * angle) / math.sin(angle), math.sin(share * angle) / math.sin(angle)


class Slerp(Method):
    """v = sin((1 - t) angle) / sin(angle) v_0 + sin(t angle) / sin(angle) v_1, each tensor as one vector.

    v_0 is the base, or the first of two models; t is the strength, by default a half. Tensors whose cosine is above
    0.9995 are interpolated on the line, and so are those of norm 0. Source: Shoemake 1985, Animating rotation with
    quaternion curves (SIGGRAPH).
    """

    name = "slerp"
    citation = "Shoemake 1985, Animating rotation with quaternion curves, SIGGRAPH"
    departs = "made for unit quaternions; tensors as vectors, and a line above a cosine of 0.9995, come from mergekit"
    implementation = f"{__name__}:Slerp"
    strength = 0.5
    base = weighted = False
    models = (1, 2)

    def measure(self, models: Models, name: str, survey: Any) -> tuple[float, float]:
        squares = [0.0, 0.0, 0.0]
        for block in models.blocks(name):
            first, second = block.origin, block.origin + block.deltas[0]
            pairs = (first, first), (second, second), (first, second)
            squares = [total + inner(*pair) for total, pair in zip(squares, pairs, strict=True)]
        norms = math.sqrt(squares[0] * squares[1])
        cosine = 1.0 if norms == 0 else max(-1.0, min(1.0, squares[2] / norms))
        return coefficients(cosine, models.strength)

    def change(self, models: Models, block: Block, measured: tuple[float, float]) -> Array:
        first, second = measured
        return (first + second - 1) * block.origin + second * block.deltas[0]
