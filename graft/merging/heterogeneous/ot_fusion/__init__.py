"""OT fusion: its facts, options and FLOPs."""

from types import MappingProxyType
from typing import Annotated

from graft.flops.counts import embedding_flops, missed_flops, transport_flops
from graft.merging.facts import TWO_VOCABULARIES, Cost, Crossing, Weights
from graft.registry import depth
from graft.registry.alignments import Plan
from graft.registry.options import Depth, Strengths
from graft.registry.shapes import Shape


class OTFusionOptions(Weights):
    name = "ot_fusion"
    needs = ("small_finetuned", "small_pretrained", "large", "moments")
    citation = (
        "Singh & Jaggi 2020, Model Fusion via Optimal Transport, arXiv 1910.05653; Imfeld et al. 2023, "
        "Transformer Fusion with Optimal Transport, arXiv 2310.05719"
    )
    departs = (
        "plans are between the two pre-trained models, not between the fine-tuned ones, and their cost is 1 - "
        "correlation, not a distance; the papers fuse models of one depth, and report them after further training; "
        "the pooler stays"
    )
    crosses = MappingProxyType(
        {
            "width": Crossing("exact", "where units are copied, with a hard plan"),
            "depth": Crossing("exact", "past blocks that change nothing behind LayerNorms of gain 1 and bias 0"),
            "vocabulary": TWO_VOCABULARIES,
            "norms": Crossing("works", "no block with LayerNorms before computes what one with LayerNorms after does"),
            "gates": Crossing("exact", "where the gate is 1; it is left alone"),
        }
    )
    implementation = f"{__name__}.maths:OTFusion"

    strengths: Annotated[Strengths, "weights of the small model, tried on select"] = (0, 0.1, 0.25, 0.5, 0.75, 1)
    alignment: Annotated[Plan, "soft plan (optimal_transport) or hard"] = "optimal_transport"
    depth: Depth = "uniform"

    def flops(self, small: Shape, large: Shape, tokens: int) -> Cost:
        """The transport of layers and embeddings; finding a plan takes no matrix products."""
        pairs = depth.pairs(self.depth, small.layers, large.layers)
        moved = pairs * transport_flops(small, large) + embedding_flops(small, large)
        return Cost(moved + missed_flops(small, large, pairs))
