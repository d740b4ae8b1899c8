"""Theseus: its facts, options and FLOPs."""

from types import MappingProxyType
from typing import Annotated, Literal

from graft.flops.counts import evidence_flops, procrustes_flops, transport_flops
from graft.merging.facts import TWO_VOCABULARIES, Cost, Crossing, Weights
from graft.registry import depth
from graft.registry.options import Depth, Evidence, Strengths
from graft.registry.shapes import Shape


class TheseusOptions(Weights):
    name = "theseus"
    needs = ("small_finetuned", "small_pretrained", "large", "moments")
    citation = (
        "Rinaldi et al. 2026, Transporting Task Vectors across Different Architectures without Training, "
        "arXiv 2602.12952"
    )
    departs = (
        "singular values at or below 1e-6 of the largest count as 0; strengths go to 4, the authors' searches to 1 "
        "or 2; the embeddings' LayerNorm is mapped as their code maps a ViT's first one; `evidence: weights` is "
        "ours, not their data-free maps; they transport ViTs and decoders"
    )
    crosses = MappingProxyType(
        {
            "width": Crossing(
                "works", "rotations alone: scales stay unmatched; a change has at most the small width's rank"
            ),
            "depth": Crossing("works", "as at one depth: rotations alone, so scales stay unmatched"),
            "vocabulary": TWO_VOCABULARIES,
            "norms": Crossing("works", "no block with LayerNorms before computes what one with LayerNorms after does"),
            "gates": Crossing("works", "the gate is left alone"),
        }
    )
    implementation = f"{__name__}.maths:Theseus"
    recipe = 1  # options as its authors have them by default

    strengths: Annotated[Strengths, "factors of the transported change, tried on select"] = (0, 0.5, 1, 2, 3, 4)
    embedding_delta: Annotated[bool, "also transport the change of the word embeddings"] = False
    centred: Annotated[bool, "fit maps to covariances, not to products of activations as they are"] = False
    layernorm: Annotated[Literal["map", "leave"], "changes of LayerNorms: mapped like biases, or none"] = "map"
    depth: Depth = "midpoints"
    evidence: Evidence = "activations"

    def flops(self, small: Shape, large: Shape, tokens: int) -> Cost:
        """One map per site for each mapped pair of layers, and the transport."""
        pairs, mapped = depth.pairs(self.depth, small.layers, large.layers), self.layernorm == "map"
        width, ffn = (small.width, large.width), (small.ffn, large.ffn)
        inner = 2 + (small.kind.gated and large.kind.gated)
        per_pair = (8 + mapped) * procrustes_flops(*width) + inner * procrustes_flops(*ffn)
        per_pair += transport_flops(small, large)
        prepare = pairs * per_pair + (mapped or self.embedding_delta) * procrustes_flops(*width)
        prepare += self.embedding_delta * 2 * small.vocabulary * small.width * large.width
        return Cost(prepare + evidence_flops(small, large, pairs, self))
