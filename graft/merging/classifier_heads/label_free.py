"""A classifier on the large body's own pooler, fitted to the small model's logits."""

from collections.abc import Iterable

from torch import Tensor

from graft.merging.classifier_heads import ridge
from graft.merging.classifier_heads.head import Head, pooled


def fit(hidden: Tensor, pooler: tuple[Tensor, Tensor], logits: Tensor, sizes: Iterable[float]) -> dict[float, Head]:
    """Fit heads, by ridge size, to first-token states of the merged body [n, w] and target logits or scores [n, c].

    `pooler` is the body's own (weight [w, w], bias [w]) and is kept; the ridge regression maps tanh(W_p h + b_p) to the
    targets.
    """
    weight, bias = (tensor.to(hidden).double() for tensor in pooler)
    maps = ridge.fit(pooled(weight, bias, hidden.double()), logits.to(hidden.device), sizes)
    return {size: Head(weight, bias, map_.weight, map_.bias) for size, map_ in maps.items()}
