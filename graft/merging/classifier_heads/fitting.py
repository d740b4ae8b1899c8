"""Fit classification heads of a named kind to a merged body, in closed form."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from graft.merging.classifier_heads import ridge
from graft.merging.classifier_heads.head import Head, head_logits
from graft.registry.methods import HEADS


def fit_heads(
    kind: str,
    hidden: Tensor,
    own: Head,
    sizes: Iterable[float],
    *,
    small_head: Head | None = None,
    small_hidden: Tensor | None = None,
    labels: Tensor | None = None,
    classes: int | None = None,
) -> dict[float, Head]:
    """Fit heads for a merged body, by ridge size, so that strength and ridge size are chosen together on `select`.

    hidden [n, w_L]: the states of the merged body that its pooler reads, on the fit subset; own: the body's own pooler
    (`head.unfitted`).
    "transplant" and "label-free" need `small_head` and `small_hidden` [n, w_S] of the fine-tuned small model on the
    same rows; "labelled" needs `labels` [n] and, unless they are scores, the number of `classes`.
    Raises ValueError if the kind is unknown or its inputs are missing.
    """
    if kind not in HEADS:
        raise ValueError(f"no head is called {kind!r}; available: {', '.join(HEADS)}")
    if kind == "labelled":
        if labels is None:
            raise ValueError("head 'labelled' needs the labels of the fit subset")
        return _on_pooler(hidden, own, label_targets(labels, classes), sizes)
    if small_head is None or small_hidden is None:
        raise ValueError(f"head {kind!r} needs the fine-tuned small model's head and its first-token states")
    if kind == "transplant":
        if small_head.activation != own.activation:
            raise ValueError(
                f"transplant: the small model's head has {small_head.activation}, the large model's {own.activation}; "
                "use label-free or labelled"
            )
        if own.pooler_norm is not None:
            raise ValueError(
                "transplant: the large model's head has a LayerNorm, which mixes in units that the small head lacks; "
                "use label-free or labelled"
            )
        return {size: _transplanted(map_, small_head) for size, map_ in ridge.fit(hidden, small_hidden, sizes).items()}
    return _on_pooler(hidden, own, head_logits(small_head, small_hidden.double()), sizes)


def label_targets(labels: Tensor, classes: int | None) -> Tensor:
    """Least-squares targets, float64: one-hot [n, c] or scores [n, 1]; raises ValueError if a label is out of range."""
    if classes is None:
        return labels.double().reshape(-1, 1)
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"labels from {int(labels.min())} to {int(labels.max())}; they must be from 0 to {classes - 1}"
        )
    return torch.nn.functional.one_hot(labels.long(), classes).double()


def _on_pooler(hidden: Tensor, own: Head, targets: Tensor, sizes: Iterable[float]) -> dict[float, Head]:
    """Keep the body's own pooler, and fit the classifier as a ridge map from what it returns to targets [n, c]."""
    own = own.to(hidden.double())
    maps = ridge.fit(own.pooled(hidden.double()), targets.to(hidden.device), sizes)
    return {size: replace(own, classifier_weight=map_.weight, classifier_bias=map_.bias) for size, map_ in maps.items()}


def _transplanted(map_: ridge.LinearMap, small_head: Head) -> Head:
    """Transplant the small model's head through a ridge map h_L -> M h_L + m onto its first-token states.

    The first w_S rows of the pooler are W_p M with bias W_p m + b_p, the others are zero, and the classifier is
    [W_c, 0]: the head computes exactly the small head of the mapped state, and no labels are used. Raises ValueError if
    the small model is wider than the large one.
    """
    small, large = map_.weight.shape
    if small > large:
        raise ValueError(f"transplant: a head {small} wide does not fit into a model {large} wide")
    head, rest = small_head.to(map_.weight), large - small
    return Head(
        pooler_weight=torch.cat([head.pooler_weight @ map_.weight, map_.weight.new_zeros(rest, large)]),
        pooler_bias=torch.cat([head.pooler_weight @ map_.bias + head.pooler_bias, map_.bias.new_zeros(rest)]),
        classifier_weight=torch.nn.functional.pad(head.classifier_weight, (0, rest)),
        classifier_bias=head.classifier_bias,
        activation=head.activation,
    )
