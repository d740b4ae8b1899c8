"""The loss of fine-tuning, for every kind of label."""

from torch import Tensor
from torch.nn import functional


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss of logits [b, c]: cross-entropy with class ids [b] or with probabilities of classes [b, c]; mean
    squared error with scores [b], of which there is one output."""
    if labels.is_floating_point() and labels.ndim == 1:
        return functional.mse_loss(logits[:, 0], labels)
    return functional.cross_entropy(logits, labels)
