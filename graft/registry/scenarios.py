"""Scenarios: what a user already has and so does not pay for, and which systems may then be used. Imports no torch."""

from collections.abc import Container, Mapping
from dataclasses import dataclass

from graft.registry.methods import KINDS

# How the names of classical systems begin, which merges are held against. The last knows labels alone: it is a rival
# only where no other is cheap enough.
CLASSICAL = ("finetune", "budget", "probe", "lora", "distil", "weak-to-strong", "ensemble", "majority")
# How much a system may cost to run: no more than a fine-tuned model of the pair, or anything.
INFERENCE = ("small", "large", "any")


@dataclass(frozen=True)
class Scenario:
    """`given`: what the user has, in words; `small_given`: whether the fine-tuned small model is part of it;
    `labels`: the label uses of the systems that may be used."""

    given: str
    small_given: bool
    labels: tuple[str, ...] = ("none", "select", "train")

    def cost(self, parts: Mapping[str, int], inherited: Container[str]) -> int:
        """Training FLOPs of a run with these parts; `inherited`: the parts that its fine-tuned small model has."""
        return sum(flops for part, flops in parts.items() if not (self.small_given and part in inherited))

    def admits(self, name: str, kind: str, label_use: str) -> bool:
        """Whether a system may be used: a merge or a classical system that saw no other labels than these."""
        return label_use in self.labels and (kind in KINDS or is_classical(name, kind))


SCENARIOS = {
    "from-scratch": Scenario("the published checkpoints", small_given=False),
    "small-given": Scenario("the fine-tuned small model too", small_given=True),
}


def is_classical(name: str, kind: str) -> bool:
    """Whether a system is one that merges are held against; a control fine-tunes an untrained small model."""
    return kind != "control" and name.split(".")[0] in CLASSICAL
