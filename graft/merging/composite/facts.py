"""Facts of composites, and the FLOPs of their making, part by part. Imports no torch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar, NamedTuple

import numpy as np

from graft.flops.counts import classifier_flops, encoder_flops, ridge_flops, summed_flops
from graft.merging.facts import Crossing, TwoShapes
from graft.registry.depth import DepthMap, uniform
from graft.registry.methods import KINDS
from graft.registry.options import Epochs, Rate
from graft.registry.shapes import Shape


class Part(NamedTuple):
    """FLOPs of a part of a making; `mode`: "training", "inference" or "closed form"."""

    name: str
    flops: int
    mode: str = "inference"


class LinkedFlops(NamedTuple):
    """FLOPs of a pass of all models, and of a pass and a training step on precomputed states of the frozen models.

    Precomputed states need no gradient, so a product that reads nothing else has one product in the backward pass, for
    its weight, instead of two.
    """

    live: int
    given: int
    step: int


@dataclass(frozen=True)
class CompositeSizes:
    """Sizes that the FLOPs of a making depend on.

    `outputs`: width of the head; `ridges`: number of ridge sizes tried. Lengths [rows] in tokens, padded: of `train`,
    also as `trained` on in batches; of `select`; and of the rows of train that a head is `fit` on. `texts`: function
    from a number of tokens to how many just enough texts of train have, and their padded lengths. `finetuning`: FLOPs
    of fine-tuning the small model, and of choosing its epoch.
    """

    small: Shape
    large: Shape
    outputs: int
    ridges: int
    train: np.ndarray
    trained: np.ndarray
    select: np.ndarray
    fit: np.ndarray
    texts: Callable[[int], tuple[int, np.ndarray]]
    finetuning: tuple[int, int]

    def small_pass(self, lengths: np.ndarray) -> int:
        """FLOPs of one pass of the small encoder."""
        return summed_flops(lambda tokens: encoder_flops(self.small, tokens), lengths)

    def small_answers(self) -> int:
        """FLOPs of the fine-tuned small classifier's pass over `select`."""
        return summed_flops(lambda tokens: classifier_flops(self.small, tokens, self.outputs), self.select)

    def head(self, width: int) -> int:
        """FLOPs of fitting heads on states of this width, and of their answers on `select`."""
        return ridge_flops(len(self.fit), width, self.outputs, self.ridges, scored=len(self.select))


class Composite(TwoShapes):
    """A method that runs parts of both models."""

    kind, label_use = KINDS[1], "train"
    inference: ClassVar[tuple[str, ...]] = ("small", "large")
    # Both models run as they are.
    crosses = MappingProxyType(
        {
            "width": Crossing("works", "what joins the models is fitted or trained for both widths"),
            "depth": Crossing("works", "each model runs its own layers"),
            "vocabulary": Crossing(
                "works", "each model reads its own tokens; states go from one to the other by spans of text"
            ),
            "norms": Crossing("works", "each model runs its own layers"),
            "gates": Crossing("works", "each model runs its own layers"),
        }
    )
    # Whether it has its own weights, which are trained.
    trained = False

    @property
    def closed_form(self) -> bool:
        return not self.trained

    def making(self, sizes: CompositeSizes) -> Iterator[Part]:
        """FLOPs of the parts of its making."""
        raise NotImplementedError


class Linked(Composite):
    """A composite with its own weights, which are trained. computes_at: the model at whose tokens they compute."""

    trained = True
    computes_at: ClassVar[str] = "small"

    epochs: Epochs = 3
    rate: Rate = 1.0

    @staticmethod
    def linked(small: Shape, large: Shape, depth_map: DepthMap, tokens: int, outputs: int) -> LinkedFlops:
        """FLOPs of one example padded to `tokens`."""
        raise NotImplementedError

    def making(self, sizes: CompositeSizes) -> Iterator[Part]:
        """Training its own weights, and choosing the epoch, the untrained state included."""

        def one(tokens: int) -> LinkedFlops:
            depth_map = uniform(sizes.small.layers, sizes.large.layers)
            return self.linked(sizes.small, sizes.large, depth_map, tokens, sizes.outputs)

        train = summed_flops(lambda tokens: one(tokens).step, sizes.trained)
        yield Part("train", self.epochs * train, "training")
        yield Part("select", (1 + self.epochs) * summed_flops(lambda tokens: one(tokens).given, sizes.select))

    def answers(self, small: Shape, large: Shape, tokens: int, outputs: int) -> list[int]:
        """FLOPs of one example padded to `tokens`."""
        return [self.linked(small, large, uniform(small.layers, large.layers), tokens, outputs).live]
