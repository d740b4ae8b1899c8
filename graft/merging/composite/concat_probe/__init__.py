"""Concatenated probe: its facts, options and FLOPs."""

from collections.abc import Iterator
from typing import Annotated, Literal

from graft.merging.composite.facts import Composite, CompositeSizes, Part
from graft.registry.options import Bounds, Pooling


class ConcatProbeOptions(Composite):
    name = "concat_probe"
    needs = ("small_finetuned", "small_pretrained", "large")
    citation = "none: a linear head on both models' states side by side"
    departs = ""
    implementation = f"{__name__}.maths:fit"

    small: Annotated[Literal["finetuned", "pretrained"], "which small model's states"] = "finetuned"
    folds: Annotated[
        int,
        Bounds("a whole number from 1 on", 1, 100),
        "from 2 on: that many more fine-tunings, each without one part of train, make the small model's states of that "
        "part, on which the head is fitted",
    ] = 1
    pooling: Annotated[Pooling, "the [CLS] state, or the mean over tokens"] = "mean"

    def check(self) -> None:
        if self.small == "pretrained" and self.folds > 1:
            raise ValueError("folds are of fine-tunings, which small pretrained has none of")

    @property
    def closed_form(self) -> bool:
        return self.folds == 1

    def making(self, sizes: CompositeSizes) -> Iterator[Part]:
        """The small model's states, those of its folds' fine-tunings, and heads on both models' states."""
        yield Part("small-on-fit", sizes.small_pass(sizes.fit))
        if (folds := self.folds) > 1:
            # Each of the folds trains on all of train but one part.
            train, choice = sizes.finetuning
            yield Part("folds/train", (folds - 1) * train, "training")
            yield Part("folds/select", folds * choice)
        yield Part("small-on-select", sizes.small_pass(sizes.select))
        yield Part("head", sizes.head(sizes.small.width + sizes.large.width), "closed form")
