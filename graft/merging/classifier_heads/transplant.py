"""Transplant the small model's head onto the large body, through a map between first-token states."""

from collections.abc import Iterable

import torch
from torch import Tensor

from graft.merging.classifier_heads import ridge
from graft.merging.classifier_heads.head import Head


def fit(hidden: Tensor, small_hidden: Tensor, small_head: Head, sizes: Iterable[float]) -> dict[float, Head]:
    """Fit heads [w_L], by ridge size, to first-token states of the merged body [n, w_L] and the small model [n, w_S].

    With the ridge map h_L -> M h_L + m onto h_S, the first w_S rows of the pooler are W_p M with bias W_p m + b_p, the
    others are zero, and the classifier is [W_c, 0]: the head computes exactly the small head of the mapped state, and
    no labels are used. Raises ValueError if the small model is wider than the large one.
    """
    return {size: _through(map_, small_head) for size, map_ in ridge.fit(hidden, small_hidden, sizes).items()}


def _through(map_: ridge.LinearMap, small_head: Head) -> Head:
    small, large = map_.weight.shape
    if small > large:
        raise ValueError(f"transplant: a head {small} wide does not fit into a model {large} wide")
    pooler, bias, classifier, classifier_bias = (
        tensor.to(map_.weight)
        for tensor in (
            small_head.pooler_weight, small_head.pooler_bias, small_head.classifier_weight, small_head.classifier_bias
        )
    )  # fmt: skip
    rest = large - small
    return Head(
        pooler_weight=torch.cat([pooler @ map_.weight, map_.weight.new_zeros(rest, large)]),
        pooler_bias=torch.cat([pooler @ map_.bias + bias, bias.new_zeros(rest)]),
        classifier_weight=torch.cat([classifier, classifier.new_zeros(len(classifier), rest)], dim=1),
        classifier_bias=classifier_bias,
    )
