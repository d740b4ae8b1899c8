"""Stitching: its facts, options and FLOPs."""

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated, Literal

from graft.flops.counts import encoder_flops, linear_flops, ridge_flops, summed_flops
from graft.merging.composite.facts import Composite, CompositeSizes, Part
from graft.registry.cuts import Cut, cuts
from graft.registry.options import Count, Pooling, Size
from graft.registry.shapes import Shape


class StitchOptions(Composite):
    name = "stitch"
    needs = ("small_finetuned", "large", "texts")
    citation = "Pan et al. 2023, Stitchable Neural Networks, arXiv 2302.06586"
    departs = (
        "the paper trains the stitched networks after this start, for all cuts together, with models that both "
        "solve the task; here nothing is trained but a head in closed form, and least squares have a ridge"
    )
    implementation = f"{__name__}.maths:Stitched"

    direction: Annotated[
        Literal["both", "small_to_large", "large_to_small"], "which model reads the text; both are tried on select"
    ] = "both"
    map_ridge: Annotated[Size, "ridge of the map between the two, as a share of the mean diagonal"] = 0.01
    pooling: Annotated[Pooling, "the [CLS] state, or the mean over tokens"] = "mean"
    text_tokens: Annotated[Count, "tokens of train on which the map is fitted"] = 10_000

    def making(self, sizes: CompositeSizes) -> Iterator[Part]:
        """Both models' states of the texts; for each cut the map, the stitched model's states, and heads on them."""
        tokens, read = sizes.texts(self.text_tokens)
        texts = sum(summed_flops(functools.partial(encoder_flops, model), read) for model in (sizes.small, sizes.large))
        joint = fit = select = head = 0
        for cut in cuts(sizes.small.layers, sizes.large.layers, self.direction):
            first, second = _in_order(sizes.small, sizes.large, cut)
            run = functools.partial(stitch_flops, first, second, cut)
            joint += ridge_flops(tokens, first.width, second.width, 1)
            fit += summed_flops(run, sizes.fit)
            select += summed_flops(run, sizes.select)
            head += sizes.head(second.width)
        yield Part("texts", texts)
        yield Part("joint", joint, "closed form")
        yield Part("fit", fit)
        yield Part("select", select)
        yield Part("head", head, "closed form")

    def answers(self, small: Shape, large: Shape, tokens: int, outputs: int) -> list[int]:
        """FLOPs of one example, without its head, at every cut, of which `select` chooses one."""
        tried = cuts(small.layers, large.layers, self.direction)
        return [stitch_flops(*_in_order(small, large, cut), cut, tokens) for cut in tried]


def stitch_flops(first: Shape, second: Shape, cut: Cut, tokens: int, role: str | None = None) -> int:
    """Forward FLOPs of a stitched encoder, or only of its "large" or "small" part, for one example padded to `tokens`.

    The layers of the first model below the cut and the map, and the layers of the second above the cut.
    """
    below = encoder_flops(replace(first, layers=cut.below), tokens) + tokens * linear_flops(first.width, second.width)
    above = encoder_flops(replace(second, layers=second.layers - cut.above), tokens)
    return sum(flops for part, flops in zip(cut.roles, (below, above), strict=True) if role in (None, part))


def _in_order(small: Shape, large: Shape, cut: Cut) -> tuple[Shape, Shape]:
    """Shapes of the model below the cut, which reads the text, and of the one above it."""
    return (small, large) if cut.roles[0] == "small" else (large, small)
