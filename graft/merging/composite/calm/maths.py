"""Two frozen models and trained links: cross-attention from the large model's states to the small one's.

Source: Bansal et al. 2024, LLM Augmented LLMs: Expanding Capabilities through Composition (CALM), arXiv 2401.02412.
What links add is a separate stream r, added to the last state, so that both models' states can be computed once.
"""

import torch
from torch import Tensor, nn

from graft.encoders.network import attention_bias
from graft.encoders.spans import carried
from graft.encoders.states import pool
from graft.merging.classifier_heads.ridge import LinearMap
from graft.merging.composite.trained import Trained, layer_of, zero_layer
from graft.registry.shapes import Shape

INITIAL_DEVIATION = 0.02  # BERT's initializer_range


class Link(nn.Module):
    """Multi-head attention from states of width w_L to states of width w_S, with heads of the small model's size.

    Queries, keys and values are drawn from N(0, 0.02^2); the output starts at zero.
    """

    def __init__(self, small: Shape, large_width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.query = nn.Linear(large_width, small.width)
        self.key = nn.Linear(small.width, small.width)
        self.value = nn.Linear(small.width, small.width)
        for layer in (self.query, self.key, self.value):
            nn.init.normal_(layer.weight, std=INITIAL_DEVIATION, generator=generator)
            nn.init.zeros_(layer.bias)
        self.output = zero_layer(small.width, large_width)
        self.heads = small.heads

    def forward(self, large: Tensor, small: Tensor, bias: Tensor) -> Tensor:
        """Attend from the large model's states [b, t, w_L] to the small one's [b, t, w_S]; returns [b, t, w_L].

        `bias` [b, 1, 1, t] is added to the scores.
        """
        query, key, value = self._split(self.query(large)), self._split(self.key(small)), self._split(self.value(small))
        scores = query @ key.transpose(2, 3) / query.shape[-1] ** 0.5 + bias  # [b, heads, t, t]
        return self.output((scores.softmax(-1) @ value).transpose(1, 2).flatten(2))

    def _split(self, states: Tensor) -> Tensor:
        """Split states [b, t, w_S] into heads [b, heads, t, w_S / heads]."""
        return states.unflatten(2, (self.heads, -1)).transpose(1, 2)


class Calm(Trained):
    """r <- r + link_i(h_L[g_i] + r, h_S[m_i]) for each of the links, from r = 0, then head(pooled(h_L[last] + r)).

    `small` is the small model's shape; `head` [c, w_L] is that of a closed-form probe on the large model's last states
    in this `pooling`. As the links' outputs start at zero, at first this is the probe. Links and head train; the links'
    weights are drawn by a separate generator, so that they depend on `seed` alone.
    """

    def __init__(self, small: Shape, links: int, head: LinearMap, pooling: str, seed: int) -> None:
        super().__init__()
        self.head = layer_of(head)
        generator = torch.Generator().manual_seed(seed)
        self.links = nn.ModuleList(Link(small, self.head.in_features, generator) for _ in range(links))
        self.pooling = pooling

    def answer(self, **batch: Tensor) -> Tensor:
        """Logits [b, c]; `large` [b, t, k, w_L] and `small` [b, t, k, w_S] are the states that the k links join, each
        at its model's own tokens.

        The last large state is that of the large model's last layer.
        """
        large, small = batch["large"], carried("large", batch["small"], batch)
        bias = attention_bias(batch["attention_mask"], large.dtype)
        added = torch.zeros_like(large[:, :, -1])
        for n, link in enumerate(self.links):
            added = added + link(large[:, :, n] + added, small[:, :, n], bias)
        return self.head(pool(large[:, :, -1] + added, batch["attention_mask"], self.pooling))
