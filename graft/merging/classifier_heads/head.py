"""The head of a BERT classifier, pooler and classifier together, as Hugging Face computes it."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Head:
    """Pooler [w, w], [w] with tanh, then the classifier [c, w], [c]; c is 1 for a score."""

    pooler_weight: Tensor
    pooler_bias: Tensor
    classifier_weight: Tensor
    classifier_bias: Tensor

    @property
    def outputs(self) -> int:
        return self.classifier_weight.shape[0]


def pooled(weight: Tensor, bias: Tensor, cls_hidden: Tensor) -> Tensor:
    """The pooler's output [n, w] for the first token's hidden states [n, w]."""
    return torch.tanh(cls_hidden @ weight.T + bias)


def head_logits(head: Head, cls_hidden: Tensor) -> Tensor:
    """Logits [n, c] for the first token's hidden states [n, w], in their dtype."""
    pooler_weight, pooler_bias, weight, bias = (
        tensor.to(cls_hidden)
        for tensor in (head.pooler_weight, head.pooler_bias, head.classifier_weight, head.classifier_bias)
    )
    return pooled(pooler_weight, pooler_bias, cls_hidden) @ weight.T + bias
