"""Logit ensemble: its facts, options and FLOPs."""

from collections.abc import Iterator
from typing import Annotated

from graft.merging.composite.facts import Composite, CompositeSizes, Part
from graft.registry.options import Pooling, Strengths


class LogitEnsembleOptions(Composite):
    name = "logit_ensemble"
    needs = ("small_finetuned", "probe.large")
    citation = "none: the weighted mean of two models' logits"
    departs = ""
    implementation = f"{__name__}.maths:combine"

    strengths: Annotated[Strengths, "weights of the small model's logits, tried on select"] = tuple(
        i / 10 for i in range(11)
    )
    probe: Annotated[Pooling, "pooling of the large model's probe"] = "mean"

    def making(self, sizes: CompositeSizes) -> Iterator[Part]:
        """The small model's answers; the probe's are computed with the probe."""
        yield Part("small-on-select", sizes.small_answers())
