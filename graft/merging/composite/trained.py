"""The base of composites with trained weights: a small module beside a frozen large model."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import SequenceClassifierOutput

from graft.merging.classifier_heads.ridge import LinearMap
from graft.training.loss import loss_of


class Trained(nn.Module, ABC):
    """The trained part of a composite. It reads the large model's states, so no backward pass runs through that model.

    A batch has both models' inputs (graft.encoders.spans), and frozen models' states under `large` and `small`, in the
    shapes that each composite needs: stored ones in training, those of a live pass at inference.
    """

    def forward(self, labels: Tensor | None = None, **batch: Tensor) -> SequenceClassifierOutput:
        """Logits (or scores) [b, c], and with labels also their loss by `loss_of`."""
        logits = self.answer(**batch)
        return SequenceClassifierOutput(loss=None if labels is None else loss_of(logits, labels), logits=logits)

    @abstractmethod
    def answer(self, **batch: Tensor) -> Tensor:
        """Logits (or scores) [b, c]."""


def layer_of(given: LinearMap, dtype: torch.dtype = torch.float32) -> nn.Linear:
    """Convert a linear map to a trainable layer."""
    outputs, inputs = given.weight.shape
    layer = nn.Linear(inputs, outputs, dtype=dtype)
    with torch.no_grad():
        layer.weight.copy_(given.weight)
        layer.bias.copy_(given.bias)
    return layer


def zero_layer(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that outputs zeros until it is trained."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
