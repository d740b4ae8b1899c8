"""The head of a classifier, pooler and classifier together, as Hugging Face computes it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from torch import Tensor
from torch.nn.functional import layer_norm

from graft.encoders.architecture import ACTIVATIONS, POOLER_NORM
from graft.registry.shapes import Shape


@dataclass(frozen=True)
class Head:
    """Pooler [w, w], [w] with its family's activation, then the classifier [c, w], [c]; c is 1 for a score.

    A pooler without a bias has zeros. `pooler_norm`: gain [w] of a LayerNorm behind the activation, with `epsilon`, in
    families that have one.
    """

    pooler_weight: Tensor
    pooler_bias: Tensor
    classifier_weight: Tensor
    classifier_bias: Tensor
    activation: str = "tanh"
    pooler_norm: Tensor | None = None
    epsilon: float = 0.0

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors, by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    def to(self, like: Tensor) -> Self:
        """This head in the dtype and on the device of another tensor."""
        tensors: dict[str, Any] = {name: tensor.to(like) for name, tensor in self.tensors.items()}
        return replace(self, **tensors)

    def pooled(self, hidden: Tensor) -> Tensor:
        """The pooler's output [n, w] for the hidden states [n, w] that it reads."""
        found = ACTIVATIONS[self.activation](hidden @ self.pooler_weight.T + self.pooler_bias)
        if self.pooler_norm is None:
            return found
        return layer_norm(found, self.pooler_norm.shape, self.pooler_norm, eps=self.epsilon)


def unfitted(body: Mapping[str, Tensor], shape: Shape) -> Head:
    """The head of a body of this shape as far as it has one: its pooler, and a classifier without outputs."""
    weight, gain = body["pooler.dense.weight"], body.get(f"{POOLER_NORM}.weight")
    bias = body.get("pooler.dense.bias", weight.new_zeros(len(weight)))
    nothing = weight.new_zeros(0, len(weight)), weight.new_zeros(0)
    return Head(weight, bias, *nothing, shape.kind.head.activation, gain, shape.epsilon)


def head_logits(head: Head, hidden: Tensor) -> Tensor:
    """Logits [n, c] for the hidden states [n, w] that the pooler reads, in their dtype."""
    head = head.to(hidden)
    return head.pooled(hidden) @ head.classifier_weight.T + head.classifier_bias
