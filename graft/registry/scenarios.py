"""Scenarios: what a user already has and so does not pay for, and which systems may then be used. Imports no torch."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from graft.registry.methods import KINDS

# How the names of classical systems begin, which merges are held against. The last knows labels alone: it is a rival
# only where no other is cheap enough.
CLASSICAL = ("finetune", "budget", "probe", "lora", "distil", "weak-to-strong", "ensemble", "majority")
# How much a system may cost to run: no more than a fine-tuned model of the pair, or anything.
INFERENCE = ("small", "large", "any")
LABEL_USES = ("none", "select", "train")


@dataclass(frozen=True)
class Scenario:
    """`given`: what the user has, in words; `small_given`: whether the fine-tuned small model is part of it.

    `labels`: how many labels of the task there are besides those that the small model was fine-tuned on, which itself
    may be used whatever they are; None for all of the task's.
    """

    given: str
    small_given: bool
    labels: int | None = None

    def cost(self, parts: Mapping[str, int], inherited: Container[str]) -> int:
        """Training FLOPs of a run with these parts; `inherited`: the parts that its fine-tuned small model has."""
        return sum(flops for part, flops in parts.items() if not (self.small_given and part in inherited))

    def admits(self, name: str, kind: str, label_use: str, labels: int | None, small: str) -> bool:
        """Whether a system may be used: a merge or classical system that saw these labels, or the small model.

        `labels`: how many of the task it saw, None for all; `small`: the model whose fine-tuning is given.
        """
        seen = labels == self.labels or (self.small_given and name == f"finetune.{small}")
        return seen and label_use in LABEL_USES and (kind in KINDS or is_classical(name, kind))


_ALL_LABELS = {
    "from-scratch": Scenario("the published checkpoints", small_given=False),
    "small-given": Scenario("the fine-tuned small model too", small_given=True),
}


def scenarios(labels: Iterable[int | None]) -> dict[str, Scenario]:
    """All scenarios of a study by name; `labels`: the numbers of labels that its systems see, None for all."""
    few = sorted({number for number in labels if number is not None})
    return _ALL_LABELS | {
        f"few-labels-{number}" if number else "label-free": Scenario(
            f"that and {number} labels" if number else "that but no labels", small_given=True, labels=number
        )
        for number in few
    }


def named(scenario: str) -> Scenario:
    """The scenario with this name."""
    number = scenario.removeprefix("few-labels-")
    return scenarios([int(number) if number.isdecimal() else 0])[scenario]


def is_classical(name: str, kind: str) -> bool:
    """Whether a system is one that merges are held against; a control fine-tunes an untrained small model."""
    return kind != "control" and name.split(".")[0] in CLASSICAL
