"""A linear head in closed form on both models' pooled states side by side: head([pooled(h_S); pooled(h_L)])."""

from collections.abc import Iterable

import torch
from torch import Tensor

from graft.merging.classifier_heads import ridge
from graft.merging.classifier_heads.fitting import label_targets
from graft.merging.classifier_heads.ridge import LinearMap


def fit(
    small: Tensor, large: Tensor, labels: Tensor, classes: int | None, sizes: Iterable[float]
) -> dict[float, LinearMap]:
    """Heads by ridge size from pooled states [n, w_S] and [n, w_L] and labels [n] of the same texts.

    Classes (a count) are fitted as one-hot targets; `classes` None means that labels are scores. Every state is
    standardised, so that no model counts for more by its scale.
    """
    return ridge.fit(torch.cat([small, large], dim=1), label_targets(labels, classes), sizes)
