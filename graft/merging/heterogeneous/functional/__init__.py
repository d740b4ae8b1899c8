"""Functional transport: its facts, options and FLOPs."""

from typing import Annotated, Literal

from graft.flops.counts import affine_flops, block_flops, embedding_flops, missed_flops, refit_flops
from graft.merging.facts import BY_MAPS, Cost, Weights
from graft.registry.depth import as_deep, pairs
from graft.registry.options import Count, Size, Strengths
from graft.registry.shapes import Shape


class FunctionalOptions(Weights):
    name = "functional"
    needs = ("small_finetuned", "small_pretrained", "large", "moments", "texts")
    citation = "ours: linear layers refitted, one after another, to the small model's change in function"
    departs = ""
    crosses = BY_MAPS
    implementation = f"{__name__}.maths:Functional"
    recipe = 1  # products are summed before they are mapped

    strengths: Annotated[Strengths, "factors of the change in function, tried on select"] = (0, 0.5, 1, 2)
    fit_ridge: Annotated[Size, "ridge of the fitted changes, as a share of the mean diagonal"] = 0.01
    map_ridge: Annotated[Size, "ridge of the maps between spaces, as a share of the mean diagonal"] = 1e-5
    # Not spread: this method fits what layers compute, which cannot be divided among several.
    depth: Annotated[Literal["uniform", "cka", "extend"], "as for spacewise"] = "uniform"
    layernorm: Annotated[Literal["fit", "leave"], "LayerNorms: refitted unit by unit, or left"] = "fit"
    embedding_delta: Annotated[bool, "also transport the changes of the embeddings"] = True
    text_tokens: Annotated[Count, "tokens of train on which changes are fitted"] = 10_000

    def flops(self, small: Shape, large: Shape, tokens: int) -> Cost:
        """FLOPs of `prepare`, which runs the texts through both small models and the large one's layers but the last.

        An `apply` runs them through the merged model, and through the untouched mapped blocks once more. In these,
        every linear layer is refitted; queries, keys and values share one input. Refitted LayerNorms cost their mapped
        change. Padding and attention's own products are left out of the passes, since they depend on texts' lengths.
        """
        mapped = pairs(self.depth, small.layers, large.layers)
        small = as_deep(self.depth, small, large)
        small_block, large_block = (block_flops(shape, tokens) for shape in (small, large))
        prepare = 2 * small.layers * small_block + (large.layers - 1) * large_block
        prepare += (2 * mapped + 1) * affine_flops(small.width, large.width, self.map_ridge)
        prepare += mapped * affine_flops(small.ffn, large.ffn, self.map_ridge)
        prepare += missed_flops(small, large, mapped)
        width, ffn = (small.width, large.width), (small.ffn, large.ffn)
        gates = small.kind.gated and large.kind.gated
        stages = (width, [width] * 3), (width, [width]), (width, [ffn] * (1 + gates)), (ffn, [width])
        refits = sum(refit_flops(tokens, into[1], outs, self.fit_ridge) for into, outs in stages)
        mapped_norm = (self.layernorm == "fit") * 2 * tokens * small.width * large.width
        apply = (large.layers + mapped) * large_block + mapped * (refits + 2 * mapped_norm)
        return Cost(prepare, apply + self.embedding_delta * (embedding_flops(small, large) + mapped_norm))
