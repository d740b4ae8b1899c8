"""Averages of models: the uniform and the weighted one."""

from collections.abc import Sequence
from typing import Any

from graft.merging.homogeneous.formats import Array
from graft.merging.homogeneous.models import Block, Models
from graft.merging.homogeneous.protocol import Method


def weighted_sum(deltas: Sequence[Array], weights: Sequence[float]) -> Array:
    """Sum of w_i delta_i, in the deltas' dtype."""
    total = weights[0] * deltas[0]
    for delta, weight in zip(deltas[1:], weights[1:], strict=True):
        total += delta if weight == 1 else weight * delta
    return total


def weighted_mean(deltas: Sequence[Array], weights: Sequence[float]) -> Array:
    """Sum of w_i delta_i / sum of w_i."""
    whole = sum(weights)
    return weighted_sum(deltas, [weight / whole for weight in weights])


class Average(Method):
    """theta = sum_i w_i theta_i / sum_i w_i (with a base: theta_0 + strength * (that - theta_0)).

    Source: Wortsman et al. 2022, Model soups, arXiv 2203.05482, uniform soup: all w_i = 1.
    """

    name = "uniform"
    citation = "Wortsman et al. 2022, Model soups, arXiv 2203.05482"
    departs = ""
    implementation = f"{__name__}:Average"
    base = weighted = False

    def change(self, models: Models, block: Block, measured: Any) -> Array:
        mean = weighted_mean(block.deltas, models.weights)
        return mean if models.strength == 1 else models.strength * mean


class Linear(Average):
    name, weighted = "linear", True
    departs = "weights are given; the paper's learned soup learns them"
