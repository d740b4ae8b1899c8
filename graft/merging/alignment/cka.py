"""Similarity of two encoders' layers: linear CKA of all pairs."""

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor

from graft.encoders.network import Encoder
from graft.encoders.spans import read_by, span_states

# A place of activations: (0 for the small model or 1 for the large one, layer).
Place = tuple[int, int]


@torch.no_grad()
def layer_similarity(small: Encoder, large: Encoder, batches: Iterable[Mapping[str, Tensor]]) -> Tensor:
    """Linear CKA [S + 1, L + 1] of the embeddings and all block outputs, over the spans of `batches`; float64.

    CKA = |X^T Y|_F^2 / (|X^T X|_F |Y^T Y|_F) for centred activations X, Y (Kornblith et al. 2019, arXiv 1905.00414,
    section 3). Only sums are kept, not activations. A constant layer has similarity 0. Raises ValueError if there are
    no batches.
    """
    count = 0
    sums: dict[Place, Tensor] = {}
    products: dict[tuple[Place, Place], Tensor] = {}
    layers = [range(model.shape.layers + 1) for model in (small, large)]
    across = [((0, m), (1, g)) for m in layers[0] for g in layers[1]]
    pairs = across + [((side, layer),) * 2 for side in (0, 1) for layer in layers[side]]
    for batch in batches:
        states = {
            (side, layer): h.double()  # [n, w]
            for side, (role, model) in enumerate((("small", small), ("large", large)))
            for layer, h in enumerate(_states(role, model, batch))
        }
        for place, h in states.items():
            sums[place] = sums.get(place, 0) + h.sum(0)
        for one, other in pairs:
            product = states[one].T @ states[other].to(states[one].device)
            products[one, other] = products.get((one, other), 0) + product
        count += len(states[0, 0])
    if not sums:
        raise ValueError("layer similarity got no batches; give at least one text")

    def norm(one: Place, other: Place) -> float:
        outer = torch.outer(sums[one], sums[other].to(sums[one].device))
        return float((products[one, other] - outer / count).norm())

    result = torch.zeros(len(layers[0]), len(layers[1]), dtype=torch.float64)
    for one, other in across:
        own = norm(one, one) * norm(other, other)
        result[one[1], other[1]] = norm(one, other) ** 2 / own if own > 0 else 0.0
    return result


def _states(role: str, model: Encoder, batch: Mapping[str, Tensor]) -> Iterator[Tensor]:
    batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
    for hidden in model(**read_by(role, batch), output_hidden_states=True).hidden_states:
        yield span_states(role, hidden, batch)
