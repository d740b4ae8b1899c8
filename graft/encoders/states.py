"""Hidden states of a frozen encoder at the outputs of some of its layers, which trained composites read; pooling."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from graft.encoders.network import Encoder

Batch = Mapping[str, Tensor]


class Frozen(nn.Module):
    """A frozen encoder, truncated in place after the last of `layers` and without its pooler.

    With a `pooling`, the output of the last of the layers is pooled over the tokens.
    """

    def __init__(self, model: Encoder, layers: Sequence[int], pooling: str | None = None) -> None:
        super().__init__()
        model.pooler = None
        model.encoder.layer = model.encoder.layer[: max(layers) + 1]
        self.model = model.requires_grad_(False)
        self.layers, self.pooling = layers, pooling

    def forward(self, batch: Batch) -> Tensor:
        """Return the states [b, t, k, w] of the k layers, or the pooled ones [b, w]."""
        states = layer_states(self.model, self.layers, batch)
        return states if self.pooling is None else pool(states[:, :, -1], batch["attention_mask"], self.pooling)


@torch.no_grad()
def layer_states(model: Encoder, layers: Sequence[int], batch: Batch) -> Tensor:
    """Return the states [b, t, k, w] at the outputs of k layers, counted from 0, in the given order, without gradients.

    Layer -1 is the embeddings. The states of padding are meaningless. Layers after the last of them and the pooler do
    not run.
    """
    # Not in inference mode, whose tensors cannot be saved for a backward pass.
    state = model.embeddings(input_ids=batch["input_ids"], token_type_ids=batch["token_type_ids"])
    bias = model.encoder.bias(batch["attention_mask"], state.dtype)
    found: dict[int, Tensor] = {-1: state}
    for number, layer in enumerate(model.encoder.layer[: max(layers) + 1]):
        state = layer(state, bias)
        if number in layers:
            found[number] = state
    return torch.stack([found[number] for number in layers], dim=2)


def pool(hidden: Tensor, mask: Tensor | None, how: str) -> Tensor:
    """Pool hidden states [b, t, w] with their attention mask [b, t] into [b, w]: "cls" (first token) or "mean".

    The mean is over all tokens but padding; the first token needs no mask. Raises ValueError for any other name.
    """
    if how == "cls":
        return hidden[:, 0]
    if how == "mean" and mask is not None:
        weights = mask.to(hidden.dtype).unsqueeze(-1)
        return (hidden * weights).sum(1) / weights.sum(1)
    raise ValueError(f"unknown pooling {how!r}; available: cls, mean")
