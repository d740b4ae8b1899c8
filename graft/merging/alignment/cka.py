"""Similarity of two encoders' layers: linear CKA of all pairs."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from transformers import BertModel


@torch.no_grad()
def layer_similarity(small: BertModel, large: BertModel, batches: Iterable[Mapping[str, Tensor]]) -> Tensor:
    """Linear CKA [S + 1, L + 1] of the embeddings and all block outputs, over the tokens of `batches`; float64.

    CKA = |X^T Y|_F^2 / (|X^T X|_F |Y^T Y|_F) for centred activations X, Y (Kornblith et al. 2019, arXiv 1905.00414,
    section 3). Only sums are kept, not activations. A constant layer has similarity 0. Raises ValueError if there are
    no batches.
    """
    count = 0
    sums: list[list[Tensor]] | None = None
    products: dict[tuple[int, int, int, int], Tensor] = {}
    for batch in batches:
        real = batch["attention_mask"].bool()
        states = [
            [h[real.to(h.device)].double() for h in _states(model, batch)] for model in (small, large)
        ]  # [side][layer]: [n, w]
        totals = [[h.sum(0) for h in side] for side in states]
        sums = (
            totals
            if sums is None
            else [[a + b for a, b in zip(*sides, strict=True)] for sides in zip(sums, totals, strict=True)]
        )
        count += int(real.sum())
        for key in _pairs(len(states[0]), len(states[1])):
            product = states[key[0]][key[1]].T @ states[key[2]][key[3]].to(states[key[0]][key[1]].device)
            products[key] = products[key] + product if key in products else product
    if sums is None:
        raise ValueError("layer similarity got no batches; give at least one text")

    def norm(*key: int) -> float:
        a, m, b, g = key
        return float((products[key] - torch.outer(sums[a][m], sums[b][g].to(sums[a][m].device)) / count).norm())

    result = torch.zeros(len(sums[0]), len(sums[1]), dtype=torch.float64)
    for m in range(len(sums[0])):
        for g in range(len(sums[1])):
            own = norm(0, m, 0, m) * norm(1, g, 1, g)
            result[m, g] = norm(0, m, 1, g) ** 2 / own if own > 0 else 0.0
    return result


def _states(model: BertModel, batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
    inputs = {name: tensor.to(model.device) for name, tensor in batch.items()}
    return model(**inputs, output_hidden_states=True).hidden_states


def _pairs(small: int, large: int) -> list[tuple[int, int, int, int]]:
    """(side, layer, side, layer) of every product: each layer with itself, and small with large."""
    own = [(side, layer, side, layer) for side, layers in ((0, small), (1, large)) for layer in range(layers)]
    return own + [(0, m, 1, g) for m in range(small) for g in range(large)]
