"""FLOPs of composites with trained weights, per example. Imports no torch."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from graft.flops.counts import classifier_flops, encoder_flops, linear_flops, training_flops
from graft.registry.depth import DepthMap
from graft.registry.shapes import Shape


class LinkedFlops(NamedTuple):
    """FLOPs of a pass of all models, and of a pass and a training step on precomputed states of the frozen models.

    Precomputed states need no gradient, so a product that reads nothing else has one product in the backward pass, for
    its weight, instead of two.
    """

    live: int
    given: int
    step: int


def linked_flops(
    method: str, small: Shape, large: Shape, depth_map: DepthMap, tokens: int, outputs: int
) -> LinkedFlops:
    """FLOPs of a composite by any method of `LINKED`, for one example padded to `tokens`."""
    return LINKED[method](small, large, depth_map, tokens, outputs)


def side_tuning_flops(small: Shape, large: Shape, _: DepthMap, tokens: int, outputs: int) -> LinkedFlops:
    """FLOPs of the frozen large encoder; and the trained small one, link from its pooled state, and head."""
    given = encoder_flops(small, tokens) + linear_flops(small.width, large.width) + linear_flops(large.width, outputs)
    return LinkedFlops(encoder_flops(large, tokens) + given, given, training_flops(given))


def ladder_flops(small: Shape, large: Shape, depth_map: DepthMap, tokens: int, outputs: int) -> LinkedFlops:
    """FLOPs of the frozen large encoder up to the last layer read; and the trained small classifier and linear layers.

    There is one linear layer for each pair of the depth map.
    """
    read = encoder_flops(large, tokens, 1 + max(g for _, g in depth_map))
    downs = len(depth_map) * tokens * linear_flops(large.width, small.width)
    classifier = classifier_flops(small, tokens, outputs)
    return LinkedFlops(read + downs + classifier, downs + classifier, training_flops(classifier) + 2 * downs)


def calm_flops(small: Shape, large: Shape, depth_map: DepthMap, tokens: int, outputs: int) -> LinkedFlops:
    """FLOPs of both frozen encoders up to the last layers read; and the trained links and head.

    There is one link for each pair of the depth map. Keys, values and the first query read only precomputed states.
    """
    read = sum(
        encoder_flops(shape, tokens, 1 + max(layers))
        for shape, layers in zip((small, large), zip(*depth_map, strict=True), strict=True)
    )
    into, inside = tokens * linear_flops(large.width, small.width), tokens * linear_flops(small.width, small.width)
    # Query and output, key and value, and the products of attention.
    links = len(depth_map) * (2 * into + 2 * inside + 4 * tokens**2 * small.width)
    given = links + linear_flops(large.width, outputs)
    return LinkedFlops(read + given, given, training_flops(given) - 2 * len(depth_map) * inside - into)


LINKED: Mapping[str, Callable[[Shape, Shape, DepthMap, int, int], LinkedFlops]] = {
    "side_tuning": side_tuning_flops,
    "ladder": ladder_flops,
    "calm": calm_flops,
}
