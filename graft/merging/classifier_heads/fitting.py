"""Fit a head of a named kind."""

from collections.abc import Iterable

from torch import Tensor

from graft.merging.classifier_heads import label_free, labelled, transplant
from graft.merging.classifier_heads.head import Head, head_logits
from graft.registry.methods import HEADS


def fit_heads(
    kind: str,
    hidden: Tensor,
    pooler: tuple[Tensor, Tensor],
    sizes: Iterable[float],
    *,
    small_head: Head | None = None,
    small_hidden: Tensor | None = None,
    labels: Tensor | None = None,
    classes: int | None = None,
) -> dict[float, Head]:
    """Fit heads for a merged body, by ridge size, so that strength and ridge size are chosen together on `select`.

    hidden [n, w_L]: first-token states of the merged body on the fit subset; pooler: the body's own weight and bias.
    "transplant" and "label-free" need `small_head` and `small_hidden` [n, w_S] of the fine-tuned small model on the
    same rows; "labelled" needs `labels` [n] and, unless they are scores, the number of `classes`.
    Raises ValueError if the kind is unknown or its inputs are missing.
    """
    if kind not in HEADS:
        raise ValueError(f"no head is called {kind!r}; available: {', '.join(HEADS)}")
    if kind == "labelled":
        if labels is None:
            raise ValueError("head 'labelled' needs the labels of the fit subset")
        return labelled.fit(hidden, pooler, labels, classes, sizes)
    if small_head is None or small_hidden is None:
        raise ValueError(f"head {kind!r} needs the fine-tuned small model's head and its first-token states")
    if kind == "transplant":
        return transplant.fit(hidden, small_hidden, small_head, sizes)
    return label_free.fit(hidden, pooler, head_logits(small_head, small_hidden.double()), sizes)
