"""Side-tuning: its facts, options and FLOPs."""

from typing import Annotated

from graft.flops.counts import encoder_flops, linear_flops, training_flops
from graft.merging.composite.facts import Linked, LinkedFlops
from graft.registry.depth import DepthMap
from graft.registry.options import Pooling
from graft.registry.shapes import Shape


class SideTuningOptions(Linked):
    name = "side_tuning"
    needs = ("small_finetuned", "large", "probe.large")
    citation = "Zhang et al. 2020, Side-Tuning, arXiv 1912.13503"
    departs = (
        "the scalar that blends the two is absorbed by a link and the head; the side network starts as the "
        "fine-tuned small model, in the paper as a copy of the base or distilled from it"
    )
    implementation = f"{__name__}.maths:SideTuned"

    probe: Annotated[Pooling, "pooling of both models, and of the large one's probe"] = "mean"

    @staticmethod
    def linked(small: Shape, large: Shape, _: DepthMap, tokens: int, outputs: int) -> LinkedFlops:
        """FLOPs of the frozen large encoder; and the trained small one, link from its pooled state, and head."""
        given = (
            encoder_flops(small, tokens) + linear_flops(small.width, large.width) + linear_flops(large.width, outputs)
        )
        return LinkedFlops(encoder_flops(large, tokens) + given, given, training_flops(given))
