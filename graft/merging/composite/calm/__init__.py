"""CALM: its facts, options and FLOPs."""

from collections.abc import Iterator
from typing import Annotated

from graft.flops.counts import encoder_flops, linear_flops, training_flops
from graft.merging.composite.facts import CompositeSizes, Linked, LinkedFlops, Part
from graft.registry.depth import DepthMap
from graft.registry.options import Pooling
from graft.registry.shapes import Shape


class CalmOptions(Linked):
    name = "calm"
    needs = ("small_finetuned", "large", "layers", "probe.large")
    citation = "Bansal et al. 2024, LLM Augmented LLMs: CALM, arXiv 2401.02412"
    departs = (
        "what a link adds goes past the large model's later layers, in a separate stream, so that no backward pass "
        "runs through that model; in the paper it goes through them. Encoders and a trained head, not generators"
    )
    implementation = f"{__name__}.maths:Calm"
    computes_at = "large"

    probe: Annotated[Pooling, "pooling of the large model, and of the probe to start from"] = "mean"

    @staticmethod
    def linked(small: Shape, large: Shape, depth_map: DepthMap, tokens: int, outputs: int) -> LinkedFlops:
        """FLOPs of both frozen encoders up to the last layers read; and the trained links and head.

        There is one link for each pair of the depth map. Keys, values and the first query read only precomputed states.
        """
        read = sum(
            encoder_flops(shape, tokens, 1 + max(layers))
            for shape, layers in zip((small, large), zip(*depth_map, strict=True), strict=True)
        )
        into, inside = tokens * linear_flops(large.width, small.width), tokens * linear_flops(small.width, small.width)
        # Query and output, key and value, and the products of attention.
        links = len(depth_map) * (2 * into + 2 * inside + 4 * tokens**2 * small.width)
        given = links + linear_flops(large.width, outputs)
        return LinkedFlops(read + given, given, training_flops(given) - 2 * len(depth_map) * inside - into)

    def making(self, sizes: CompositeSizes) -> Iterator[Part]:
        """The training of links and head, and the frozen small model's states."""
        yield from super().making(sizes)
        yield Part("small", sizes.small_pass(sizes.train) + sizes.small_pass(sizes.select))
