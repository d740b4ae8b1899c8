"""Ladder side-tuning: its facts, options and FLOPs."""

from graft.flops.counts import classifier_flops, encoder_flops, linear_flops, training_flops
from graft.merging.composite.facts import Linked, LinkedFlops
from graft.registry.depth import DepthMap
from graft.registry.shapes import Shape


class LadderOptions(Linked):
    name = "ladder"
    needs = ("small_finetuned", "large", "layers")
    citation = "Sung et al. 2022, LST: Ladder Side-Tuning, arXiv 2206.06522"
    departs = (
        "gate and Down are one, s + Down(h_L) with a Down that starts at zero, in the paper mu s + (1 - mu) "
        "Down(h_L) from mu = 1/2; the side network is the fine-tuned small model with its own embeddings, in the "
        "paper a pruned copy of the large one that reads its embeddings"
    )
    implementation = f"{__name__}.maths:Ladder"

    @staticmethod
    def linked(small: Shape, large: Shape, depth_map: DepthMap, tokens: int, outputs: int) -> LinkedFlops:
        """FLOPs of the frozen large encoder up to the last layer read; and the trained small classifier and linear
        layers, one for each pair of the depth map.
        """
        read = encoder_flops(large, tokens, 1 + max(g for _, g in depth_map))
        downs = len(depth_map) * tokens * linear_flops(large.width, small.width)
        classifier = classifier_flops(small, tokens, outputs)
        return LinkedFlops(read + downs + classifier, downs + classifier, training_flops(classifier) + 2 * downs)
