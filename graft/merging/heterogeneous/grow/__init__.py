"""Grow: its facts, options and FLOPs."""

from types import MappingProxyType
from typing import Annotated

from graft.flops.counts import block_flops
from graft.merging.facts import TWO_VOCABULARIES, Cost, Crossing, Weights
from graft.registry.options import Count, Strengths
from graft.registry.shapes import Shape


class GrowOptions(Weights):
    name = "grow"
    needs = ("small_finetuned", "large", "texts")
    citation = (
        "Chen et al. 2015, Net2Net, arXiv 1511.05641; Chen et al. 2021, bert2BERT, arXiv 2110.07143; "
        "Wang et al. 2023, LEMON, arXiv 2310.07999"
    )
    departs = (
        "the papers train the grown model further, here it is averaged with the large one; units are copied in "
        "order, Net2Net draws them; of bert2BERT only what keeps the function, not the units of the next layer "
        "(AKI); LEMON breaks the symmetry of copies, and its growth is exact for pre-LN only"
    )
    crosses = MappingProxyType(
        {
            "width": Crossing("exact", "to a multiple of the width; otherwise units are padded by their mean"),
            "depth": Crossing("exact", "past blocks that change nothing behind LayerNorms of gain 1 and bias 0"),
            "vocabulary": TWO_VOCABULARIES,
            "norms": Crossing("refused", "a block cannot hold one of the other kind"),
            "gates": Crossing("refused", "a plain unit is no gated one for all inputs"),
        }
    )
    implementation = f"{__name__}.maths:Grow"

    strengths: Annotated[Strengths, "weights of the grown model tried on select"] = (0, 0.1, 0.25, 0.5, 0.75, 1)
    text_tokens: Annotated[Count, "tokens of train on which the error of growing is measured"] = 2_000

    def flops(self, small: Shape, large: Shape, tokens: int) -> Cost:
        """Both models' passes over the texts; units are copied, not multiplied (products here have one entry a row).

        Attention's own products are left out, since they depend on the texts' lengths.
        """
        return Cost(sum(shape.layers * block_flops(shape, tokens) for shape in (small, large)))
