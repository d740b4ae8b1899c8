"""Proxy tuning: its facts, options and FLOPs."""

from collections.abc import Iterator
from typing import Annotated

from graft.flops.counts import linear_flops
from graft.merging.composite.facts import Composite, CompositeSizes, Part
from graft.registry.options import Pooling, Strengths


class ProxyTuningOptions(Composite):
    name = "proxy_tuning"
    needs = ("small_finetuned", "probe.large", "probe.small")
    # The small model runs twice: fine-tuned, and untuned under its probe.
    inference = ("small", "small", "large")
    citation = "Liu et al. 2024, Tuning Language Models by Proxy, arXiv 2401.08565"
    departs = (
        "the paper steers a generator's next token, here a probe's logits are shifted; the untuned small model's "
        "are those of a probe on it; logits are brought to one scale; the strength is searched, in the paper 1"
    )
    implementation = f"{__name__}.maths:combine"

    strengths: Annotated[Strengths, "factors of the small model's change, tried on select"] = (
        *(0, 0.25, 0.5, 1, 1.5, 2, 3),
    )
    probe: Annotated[Pooling, "pooling of both models' probes"] = "mean"

    def making(self, sizes: CompositeSizes) -> Iterator[Part]:
        """The small model's answers, fine-tuned and untuned under its probe."""
        probed = len(sizes.select) * linear_flops(sizes.small.width, sizes.outputs)
        yield Part("small-on-select", sizes.small_answers() + sizes.small_pass(sizes.select) + probed)
