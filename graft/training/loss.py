"""The loss of fine-tuning, for every kind of label."""

from torch import Tensor
from torch.nn import functional


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss of logits [b, c]: cross-entropy for classes [b] (integers) or probabilities [b, c], where c >= 2, and
    for scores [b] the squared error of the only logit.

    Raises ValueError for labels of another shape.
    """
    if labels.shape == logits.shape[:1] and not labels.is_floating_point():
        return functional.cross_entropy(logits, labels)
    if labels.shape == logits.shape and logits.shape[1] > 1:
        return functional.cross_entropy(logits, labels)
    if labels.shape == logits.shape[:1] and logits.shape[1] == 1:
        return functional.mse_loss(logits[:, 0], labels)
    raise ValueError(
        f"labels {list(labels.shape)} ({labels.dtype}) do not fit logits {list(logits.shape)}; there are classes [b] "
        "(integers), probabilities [b, c] of 2 classes or more, and scores [b] for a single logit"
    )
