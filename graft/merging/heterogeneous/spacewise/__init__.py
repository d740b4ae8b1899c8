"""Spacewise: its facts, options and FLOPs."""

from typing import Annotated, Literal

from graft.flops.counts import embedding_flops, evidence_flops, maps_flops, missed_flops, transport_flops
from graft.merging.facts import BY_MAPS, Cost, Weights
from graft.registry import depth
from graft.registry.alignments import Alignment
from graft.registry.options import Depth, Evidence, Size, Strengths
from graft.registry.shapes import Shape


class SpacewiseOptions(Weights):
    name = "spacewise"
    needs = ("small_finetuned", "small_pretrained", "large", "moments")
    citation = "ours: Theseus (arXiv 2602.12952) with one affine map per space, shared by all that read or write it"
    departs = ""
    crosses = BY_MAPS
    implementation = f"{__name__}.maths:Spacewise"

    strengths: Annotated[Strengths, "factors of the transported change, tried on select"] = (0, 0.5, 1, 2, 3, 4)
    alignment: Annotated[Alignment, "how maps are fitted"] = "least_squares"
    map_ridge: Annotated[Size, "ridge of least squares and of whitening, as a share of the mean diagonal"] = 1e-5
    depth: Depth = "uniform"
    evidence: Evidence = "activations"
    residual: Annotated[
        Literal["pooled", "per_site", "fit_dense"],
        "map of the residual stream: one for all, one each, or the distillation's",
    ] = "pooled"
    per_head: Annotated[bool, "map queries, keys and values head by head, heads matched by CKA"] = False
    layernorm: Annotated[
        Literal["fit", "map", "leave"], "changes of LayerNorms: fitted unit by unit, mapped, or none"
    ] = "fit"
    embedding_delta: Annotated[bool, "also transport the changes of the embeddings"] = True

    def flops(self, small: Shape, large: Shape, tokens: int) -> Cost:
        """The maps of every space, and the transport. Per-head maps count as whole ones."""
        pairs = depth.pairs(self.depth, small.layers, large.layers)
        per_site = self.residual == "per_site"
        streams = 1 + per_site * 3 * pairs
        maps = (2 * pairs + streams) * maps_flops(self.alignment, small.width, large.width, self.map_ridge)
        maps += pairs * maps_flops(self.alignment, small.ffn, large.ffn, self.map_ridge)
        maps += missed_flops(small, large, pairs, per_site) + evidence_flops(small, large, pairs, self)
        return Cost(maps + pairs * transport_flops(small, large) + self.embedding_delta * embedding_flops(small, large))
