"""What composites with trained weights have in common: a small module beside a large model that stays frozen."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

from graft.merging.heads.ridge import LinearMap
from graft.training.loss import loss_of


class Trained(nn.Module, ABC):
    """What trains of a composite. It is given the large model's states, so that no backward pass runs through that.

    A batch has input_ids, attention_mask, token_type_ids [b, t], and frozen models' states under `large` and `small`,
    of the shapes that each composite asks for: kept ones in training, those of a live pass at inference.
    """

    def forward(self, labels: Tensor | None = None, **batch: Tensor) -> SequenceClassifierOutput:
        """Logits (or scores) [b, c], and where there are labels their loss as `loss_of` has it."""
        logits = self.answer(**batch)
        return SequenceClassifierOutput(loss=None if labels is None else loss_of(logits, labels), logits=logits)

    @abstractmethod
    def answer(self, **batch: Tensor) -> Tensor:
        """Logits (or scores) [b, c]."""


def layer_of(given: LinearMap) -> nn.Linear:
    """A linear map as a layer that can be trained, in float32."""
    layer = nn.Linear(*reversed(given.weight.shape))
    with torch.no_grad():
        layer.weight.copy_(given.weight)
        layer.bias.copy_(given.bias)
    return layer


def zero_layer(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that adds nothing before it is trained."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
