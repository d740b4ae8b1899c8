"""The fine-tuning loss for every kind of label."""

from torch import Tensor
from torch.nn import functional


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss of logits [b, c]: cross-entropy for classes [b] (integers) or for probabilities [b, c] with c >= 2,
    squared error of the single logit for scores [b].

    Raises ValueError if the labels do not fit the logits.
    """
    classes = labels.shape == logits.shape[:1] and not labels.is_floating_point()
    if classes or (labels.shape == logits.shape and logits.shape[1] > 1):
        return functional.cross_entropy(logits, labels)
    if labels.shape == logits.shape[:1] and logits.shape[1] == 1:
        return functional.mse_loss(logits[:, 0], labels)
    raise ValueError(
        f"labels {list(labels.shape)} ({labels.dtype}) do not fit logits {list(logits.shape)}; give classes [b] "
        "(integers), probabilities [b, c] of 2 classes or more, or scores [b] for a single logit"
    )
