"""Logit ensemble: its facts, options and FLOPs."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from graft.merging.composite.flops import Making, Part
from graft.registry.methods import Composite
from graft.registry.options import MergeOptions, Pooling, Strengths


@dataclass(frozen=True)
class LogitEnsembleOptions(MergeOptions):
    """Options of the logit ensemble."""

    strengths: Annotated[Strengths, "weights of the small model's logits, tried on select"] = tuple(
        i / 10 for i in range(11)
    )
    probe: Annotated[Pooling, "pooling of the large model's probe"] = "mean"


def making(sizes: Making) -> Iterator[Part]:
    """The small model's answers; the probe's are computed with the probe."""
    yield Part("small-on-select", sizes.small_answers())


METHODS = (
    Composite(
        name="logit_ensemble",
        needs=("small_finetuned", "probe.large"),
        citation="none: the weighted mean of two models' logits",
        implementation=f"{__name__}.maths:combine",
        options=LogitEnsembleOptions,
        making=making,
    ),
)
