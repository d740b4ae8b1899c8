"""Interpolation: its facts, options and FLOPs."""

import random
from types import MappingProxyType
from typing import Annotated

from graft.merging.facts import TWO_VOCABULARIES, Crossing, Weights
from graft.registry.options import Few


class InterpolateOptions(Weights):
    name = "interpolate"
    needs = ("small_finetuned", "large")
    heads = ()
    citation = "none: tensors paired by name and padded with zeros, a floor that other methods must pass"
    departs = ""
    crosses = MappingProxyType(
        {
            "width": Crossing("works", "units are padded with zeros"),
            "depth": Crossing("works", "layers are paired by their number"),
            "vocabulary": TWO_VOCABULARIES,
            "norms": Crossing("refused", "LayerNorms in other places have other names"),
            "gates": Crossing("exact", "where the gate is 1: at strength 1 it is the small model"),
        }
    )
    implementation = f"{__name__}.maths:Interpolate"

    trials: Annotated[Few, "random weights of the small model in [0, 1] tried on select"] = 20

    def grid(self, seed: int | str) -> tuple[float, ...]:
        """0 and random strengths in [0, 1], in rising order, `trials` together."""
        generator = random.Random(seed)
        return (0.0, *sorted(generator.random() for _ in range(self.trials - 1)))
