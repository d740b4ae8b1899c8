"""Averages of models: the uniform and the weighted one, and the greedy soup's choice of what goes into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    Source: Wortsman et al. 2022, Model soups, arXiv 2203.05482, uniform soup (all w_i = 1), its published default.
    """

    def change(self, models: Models, block: Block, measured: Any) -> Array:
        mean = weighted_mean(block.deltas, models.weights)
        return mean if self.settings.strength == 1 else self.settings.strength * mean


def greedy(scores: Sequence[float], score: Callable[[tuple[int, ...]], float]) -> tuple[int, ...]:
    """Which models a greedy soup averages, as indices into `scores`, in the order in which they came in.

    From the best model down, each goes in if the average of what is in and itself scores no worse on held-out data than
    without it (arXiv 2203.05482, recipe 1). scores: of each model alone; score: of the uniform average of some models,
    higher is better. Raises ValueError where there is no model.
    """
    if not scores:
        raise ValueError("a greedy soup needs one model at least")
    best, *rest = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    chosen, reached = (best,), scores[best]
    for model in rest:
        tried = score((*chosen, model))
        if tried >= reached:
            chosen, reached = (*chosen, model), tried
    return chosen
