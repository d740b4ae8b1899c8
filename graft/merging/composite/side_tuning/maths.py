"""The small model trained beside the frozen large one: their pooled states are added under one linear head.

Source: Zhang et al. 2020, Side-Tuning: A Baseline for Network Adaptation via Additive Side Networks, arXiv 1912.13503:
R(x) = B(x) + S(x), a frozen base B and a side network S that trains.
"""

from torch import Tensor

from graft.encoders.network import Encoder
from graft.encoders.spans import read_by
from graft.encoders.states import pool
from graft.merging.classifier_heads.ridge import LinearMap
from graft.merging.composite.trained import Trained, layer_of, zero_layer


class SideTuned(Trained):
    """head(pooled(h_L) + link(pooled(h_S))). The small model (its pooler is dropped), link and head train.

    `head` [c, w_L] is that of a closed-form probe on the large model's states in this `pooling`; the link
    [w_S -> w_L] starts at zero, so that at first this is the probe.
    """

    def __init__(self, small: Encoder, head: LinearMap, pooling: str) -> None:
        super().__init__()
        small.pooler = None
        self.small = small
        self.head = layer_of(head)
        self.link = zero_layer(small.shape.width, self.head.in_features)
        self.pooling = pooling

    def answer(self, **batch: Tensor) -> Tensor:
        """Logits [b, c]; `large` [b, w_L] is the large model's last state, pooled."""
        own = read_by("small", batch)
        pooled = pool(self.small(**own).last_hidden_state, own["attention_mask"], self.pooling)
        return self.head(batch["large"] + self.link(pooled))
