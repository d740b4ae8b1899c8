"""The first layers of one model, a linear map, and the last layers of the other.

Source: Pan et al. 2023, Stitchable Neural Networks (SN-Net), arXiv 2302.06586: with H and
H' the two models' states at the cut, the map is argmin |H T - H'|^2 + ridge |T|^2.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from graft.encoders.network import Encoder
from graft.merging.classifier_heads import ridge
from graft.merging.classifier_heads.ridge import LinearMap
from graft.merging.composite.trained import layer_of
from graft.registry.cuts import Cut

Batch = Mapping[str, Tensor]


class Stitched(nn.Module):
    """The encoder made of two: `first` up to the cut, `joint` [w_first -> w_second], and `second` from there."""

    def __init__(self, first: Encoder, second: Encoder, cut: Cut, joint: LinearMap) -> None:
        super().__init__()
        self.embeddings = first.embeddings
        self.below = first.encoder.layer[: cut.below]
        self.joint = layer_of(joint, first.dtype).to(first.device)
        self.above = second.encoder.layer[cut.above :]
        self.biases = [first.encoder.bias, second.encoder.bias]

    def forward(self, batch: Batch) -> Tensor:
        """Last hidden states [b, t, w_second]."""
        state = self.embeddings(input_ids=batch["input_ids"], token_type_ids=batch["token_type_ids"])
        below, above = (bias(batch["attention_mask"], state.dtype) for bias in self.biases)
        for layer in self.below:
            state = layer(state, below)
        state = self.joint(state)
        for layer in self.above:
            state = layer(state, above)
        return state


def states(model: Encoder, layers: Iterable[int], texts: Iterable[Batch]) -> dict[int, Tensor]:
    """Outputs [tokens, w] of some layers, counted from 1, for every real token of some texts."""
    found: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    with torch.no_grad():
        for batch in texts:
            batch = {name: value.to(model.device) for name, value in batch.items()}
            seen = model(**batch, output_hidden_states=True).hidden_states
            real = batch["attention_mask"].bool()
            for layer, kept in found.items():
                kept.append(seen[layer][real].cpu())
    return {layer: torch.cat(kept) for layer, kept in found.items()}


def joint(below: Tensor, above: Tensor, size: float) -> LinearMap:
    """Fit the ridge map (see `ridge.fit`) from one model's states [n, w] to the other's on the same tokens."""
    return ridge.fit(below, above, [size])[size]
