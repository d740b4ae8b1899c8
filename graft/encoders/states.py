"""States of a frozen encoder at the outputs of some of its layers: what trained composites read."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from transformers import BertModel

from graft.encoders.bert import attention_bias
from graft.encoders.pooling import pool

Batch = Mapping[str, Tensor]


class Frozen(nn.Module):
    """An encoder that is only read: cut behind the last of `layers` and without its pooler, in place.

    With a `pooling` the last of the layers is pooled over the tokens.
    """

    def __init__(self, model: BertModel, layers: Sequence[int], pooling: str | None = None) -> None:
        super().__init__()
        model.pooler = None
        model.encoder.layer = model.encoder.layer[: max(layers) + 1]
        self.model = model.requires_grad_(False)
        self.layers, self.pooling = layers, pooling

    def forward(self, batch: Batch) -> Tensor:
        """States [b, t, k, w] of the k layers, or pooled [b, w]."""
        states = layer_states(self.model, self.layers, batch)
        return states if self.pooling is None else pool(states[:, :, -1], batch["attention_mask"], self.pooling)


@torch.no_grad()
def layer_states(model: BertModel, layers: Sequence[int], batch: Batch) -> Tensor:
    """States [b, t, k, w] at the outputs of k layers, counted from 0 and in the order given, without gradients.

    Padding has states too, which mean nothing. No layer behind the last of them runs, nor does the pooler.
    """
    # Not in inference mode, whose tensors no backward pass may save.
    state = model.embeddings(input_ids=batch["input_ids"], token_type_ids=batch["token_type_ids"])
    bias = attention_bias(batch["attention_mask"], state.dtype)
    found: dict[int, Tensor] = {}
    for number, layer in enumerate(model.encoder.layer[: max(layers) + 1]):
        state = layer(state, bias)
        if number in layers:
            found[number] = state
    return torch.stack([found[number] for number in layers], dim=2)
