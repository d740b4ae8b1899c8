"""The fine-tuned small model with rungs to the frozen large one, whose states are added behind its layers.

Source: Sung et al. 2022, LST: Ladder Side-Tuning for Parameter and Memory Efficient Transfer Learning, arXiv
2206.06522. Down starts at zero, so that the start equals a parent. It alone sets the ratio of both terms; what no gate
sets, the scale of s, matters little before layers that end in a LayerNorm.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from graft.encoders.network import Classifier
from graft.encoders.spans import carried, read_by
from graft.merging.composite.trained import Trained, zero_layer


class Ladder(Trained):
    """s <- s + Down(h_L at layer g) behind layer m of the small model, for each pair (m, g) of the depth map.

    Layers are counted from 0; a small layer in several pairs gets the sum. Each Down [w_L -> w_S] starts at zero, so
    that at first this is `small`, the fine-tuned classifier. All of it trains, with its own pooler, classifier and
    dropout.
    """

    def __init__(self, small: Classifier, large_width: int, depth_map: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self.small = small
        self.downs = nn.ModuleList(zero_layer(large_width, small.bert.shape.width) for _ in depth_map)
        self.rungs = [m for m, _ in depth_map]

    def answer(self, **batch: Tensor) -> Tensor:
        """Logits [b, c]; `large` [b, t, k, w_L] are all tokens' states at the k large layers of the depth map."""
        bert, own, large = self.small.bert, read_by("small", batch), carried("small", batch["large"], batch)
        state = bert.embeddings(input_ids=own["input_ids"], token_type_ids=own["token_type_ids"])
        bias = bert.encoder.bias(own["attention_mask"], state.dtype)
        for number, layer in enumerate(bert.encoder.layer):
            state = layer(state, bias)
            for n, (m, down) in enumerate(zip(self.rungs, self.downs, strict=True)):
                if m == number:
                    state = state + down(large[:, :, n])
        return self.small.classifier(self.small.dropout(bert.pooler(state, own["attention_mask"])))
