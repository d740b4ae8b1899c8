"""The first layers of one model, a linear map, and the last layers of the other.

Source: Pan et al. 2023, Stitchable Neural Networks (SN-Net), arXiv 2302.06586: with H and
H' the two models' states at the cut, the map is argmin |H T - H'|^2 + ridge |T|^2.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from graft.encoders.network import Encoder
from graft.encoders.spans import carried, read_by, span_states
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
        self.roles = cut.roles

    def forward(self, batch: Batch) -> Tensor:
        """Last hidden states [b, t, w_second] of the second model's tokens."""
        first, second = (read_by(role, batch) for role in self.roles)
        state = self.embeddings(input_ids=first["input_ids"], token_type_ids=first["token_type_ids"])
        below, above = (
            bias(read["attention_mask"], state.dtype) for bias, read in zip(self.biases, (first, second), strict=True)
        )
        for layer in self.below:
            state = layer(state, below)
        state = carried(self.roles[1], self.joint(state), batch)
        for layer in self.above:
            state = layer(state, above)
        return state


def states(model: Encoder, layers: Iterable[int], texts: Iterable[Batch], role: str = "large") -> dict[int, Tensor]:
    """Outputs [spans, w] of some layers, counted from 1, of the "large" or "small" model, for every span of texts."""
    found: dict[int, list[Tensor]] = {layer: [] for layer in layers}
    with torch.no_grad():
        for batch in texts:
            batch = {name: value.to(model.device) for name, value in batch.items()}
            seen = model(**read_by(role, batch), output_hidden_states=True).hidden_states
            for layer, kept in found.items():
                kept.append(span_states(role, seen[layer], batch).cpu())
    return {layer: torch.cat(kept) for layer, kept in found.items()}


def joint(below: Tensor, above: Tensor, size: float) -> LinearMap:
    """Fit the ridge map (see `ridge.fit`) from one model's states [n, w] to the other's of the same spans."""
    return ridge.fit(below, above, [size])[size]
