"""The head of a classifier, pooler and classifier together, as Hugging Face computes it."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from graft.encoders.architecture import ACTIVATIONS


@dataclass(frozen=True)
class Head:
    """Pooler [w, w], [w] with its family's activation, then the classifier [c, w], [c]; c is 1 for a score."""

    pooler_weight: Tensor
    pooler_bias: Tensor
    classifier_weight: Tensor
    classifier_bias: Tensor
    activation: str = "tanh"

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The four tensors, by name."""
        return {name: value for name, value in vars(self).items() if name != "activation"}

    def to(self, like: Tensor) -> Self:
        """This head in the dtype and on the device of another tensor."""
        tensors = {name: tensor.to(like) for name, tensor in self.tensors.items()}
        return type(self)(**tensors, activation=self.activation)


def pooled(weight: Tensor, bias: Tensor, cls_hidden: Tensor, activation: str = "tanh") -> Tensor:
    """The pooler's output [n, w] for the first token's hidden states [n, w]."""
    return ACTIVATIONS[activation](cls_hidden @ weight.T + bias)


def head_logits(head: Head, cls_hidden: Tensor) -> Tensor:
    """Logits [n, c] for the first token's hidden states [n, w], in their dtype."""
    head = head.to(cls_hidden)
    found = pooled(head.pooler_weight, head.pooler_bias, cls_hidden, head.activation)
    return found @ head.classifier_weight.T + head.classifier_bias
