"""The head of a BERT classifier, pooler and classifier together, as Hugging Face computes it."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Head:
    """Pooler [w, w], [w] with tanh, then the classifier [c, w], [c]; c is 1 for a score."""

    pooler_weight: Tensor
    pooler_bias: Tensor
    classifier_weight: Tensor
    classifier_bias: Tensor

    def to(self, like: Tensor) -> Self:
        """This head in the dtype and on the device of another tensor."""
        return type(self)(*(tensor.to(like) for tensor in vars(self).values()))


def pooled(weight: Tensor, bias: Tensor, cls_hidden: Tensor) -> Tensor:
    """The pooler's output [n, w] for the first token's hidden states [n, w]."""
    return torch.tanh(cls_hidden @ weight.T + bias)


def head_logits(head: Head, cls_hidden: Tensor) -> Tensor:
    """Logits [n, c] for the first token's hidden states [n, w], in their dtype."""
    head = head.to(cls_hidden)
    return pooled(head.pooler_weight, head.pooler_bias, cls_hidden) @ head.classifier_weight.T + head.classifier_bias
