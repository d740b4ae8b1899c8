"""A classifier on the large body's own pooler, fitted to the labels of `train`."""

from collections.abc import Iterable

import torch
from torch import Tensor

from graft.merging.classifier_heads import label_free
from graft.merging.classifier_heads.head import Head


def fit(
    hidden: Tensor, pooler: tuple[Tensor, Tensor], labels: Tensor, classes: int | None, sizes: Iterable[float]
) -> dict[float, Head]:
    """Fit heads, by ridge size, to first-token states of the merged body [n, w] and labels [n].

    `classes` is the number of classes, fitted as one-hot targets by least squares, or None if labels are scores.
    """
    return label_free.fit(hidden, pooler, label_targets(labels, classes), sizes)


def label_targets(labels: Tensor, classes: int | None) -> Tensor:
    """Least-squares targets, float64: one-hot [n, c] or scores [n, 1]; raises ValueError if a label is out of range."""
    if classes is None:
        return labels.double().reshape(-1, 1)
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(
            f"labels from {int(labels.min())} to {int(labels.max())}; they must be from 0 to {classes - 1}"
        )
    return torch.nn.functional.one_hot(labels.long(), classes).double()
