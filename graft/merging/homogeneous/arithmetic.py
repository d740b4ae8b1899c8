"""The family of task arithmetic: how each change is made sparse, how changes agree, how they are scaled."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol

import numpy as np

from graft.merging.homogeneous.averages import weighted_sum
from graft.merging.homogeneous.formats import Array
from graft.merging.homogeneous.magnitudes import of_changes
from graft.merging.homogeneous.masks import RANGE, draws
from graft.merging.homogeneous.models import Block, Models
from graft.merging.homogeneous.protocol import Each, Method
from graft.registry.options import Seed, Share, Size


class Consensus(Protocol):
    """Maps changes and weights to the weighted sum and the total weight in it, a scalar or one per element."""

    def __call__(self, deltas: Sequence[Array], weights: Sequence[float]) -> tuple[Array, Array | float]: ...


def everyone(deltas: Sequence[Array], weights: Sequence[float]) -> tuple[Array, float]:
    """Sum of w_i delta_i, and sum of w_i: every model counts everywhere."""
    return weighted_sum(deltas, weights), sum(weights)


def elected(deltas: Sequence[Array], weights: Sequence[float]) -> tuple[Array, Array]:
    """Sum of w_i delta_i over those that have the elected sign, and the sum of their w_i, per element.

    The elected sign is that of sum_i w_i delta_i: of the side with the larger total magnitude. Where the sides balance
    none is elected and the sum is 0. Source: TIES-Merging, arXiv 2306.01708: elect sign, and disjoint merge.
    """
    weighted = [delta if weight == 1 else weight * delta for delta, weight in zip(deltas, weights, strict=True)]
    sign = np.sign(weighted_sum(weighted, [1.0] * len(weighted)))
    total, counted, agreeing = np.zeros_like(sign), np.zeros_like(sign), np.empty_like(sign)
    for delta, weight in zip(weighted, weights, strict=True):
        np.multiply(delta, sign, out=agreeing)
        np.maximum(agreeing, 0, out=agreeing)
        total += agreeing
        counted += agreeing > 0 if weight == 1 else sign.dtype.type(weight) * (agreeing > 0)
    total *= sign
    return total, counted


Density = Annotated[Share, "share of each change that is kept"]
MaskSeed = Annotated[Seed, "of the random masks, which depend on it and on the tensor's name alone"]


class TaskArithmetic(Method):
    """theta = theta_0 + strength * merged(tau_1, ..., tau_n), with changes ("task vectors") tau_i = theta_i - theta_0.

    Ilharco et al. 2022, Editing Models with Task Arithmetic, arXiv 2212.04089: the sum of the tau_i as they are. The
    other methods here first make them sparse (see their `sparse` for formulas and sources), and merge either by that
    sum, or by TIES' mean over the models that agree in sign.
    """

    name = "task_arithmetic"
    citation = "Ilharco et al. 2022, Editing Models with Task Arithmetic, arXiv 2212.04089"
    departs = ""
    implementation = f"{__name__}:TaskArithmetic"
    # The paper's best for eight tasks, and its advice if no strength can be tried.
    strength = 0.3
    # Merges the sparse changes; if `mean`, its sum is divided by the weights in it.
    consensus: ClassVar[Consensus] = staticmethod(everyone)
    mean: ClassVar[bool] = False

    def sparse(self, block: Block, model: int, measured: Any) -> Array:
        """The sparse change of one model in this block. [rows, columns]"""
        return block.deltas[model]

    def change(self, models: Models, block: Block, measured: Any) -> Array:
        sparse = [self.sparse(block, model, measured) for model in range(len(block.deltas))]
        total, counted = self.consensus(sparse, models.weights)
        if self.mean:
            # The total weight is 0 only where nothing is merged. (numpy's own `where` takes twenty times as long.)
            total *= counted != 0
            total /= counted + (counted == 0)
        return total if models.strength == 1 else models.strength * total


class Ties(TaskArithmetic):
    name = "ties"
    citation = "Yadav et al. 2023, TIES-Merging, arXiv 2306.01708"
    departs = "where both signs weigh the same none is elected; the authors' code then takes the whole model's majority"
    consensus, mean = staticmethod(elected), True
    # 1 and 20%: the paper's settings without validation data.
    strength = 1.0

    density: Density = 0.2
    scope: Annotated[Literal["model", "tensor"], "largest of the whole model (the paper) or of each tensor"] = "model"

    def survey(self, models: Models, each: Each) -> list[float] | None:
        whole = self.scope == "model" and self.density < 1
        return self._smallest(models, models.names, each) if whole else None

    def measure(self, models: Models, name: str, survey: list[float] | None) -> list[float]:
        if self.density >= 1:
            return [0.0] * len(models.tuned)
        return survey if survey is not None else self._smallest(models, [name], map)

    def _smallest(self, models: Models, names: Sequence[str], each: Each) -> list[float]:
        """The smallest magnitude that is kept, for each model."""
        rank = max(1, int(self.density * sum(models.origin.tensors[name].count for name in names)))
        return [of_changes(models, model, names, each, [rank])[0] for model in range(len(models.tuned))]

    def sparse(self, block: Block, model: int, measured: list[float]) -> Array:
        """TIES' first step: the share `density` of the change that is largest in magnitude, the rest 0.

        scope "model" is the paper's: the largest of the whole model (Yadav et al. 2023, arXiv 2306.01708, and
        `topk_values_mask` of its code, which flattens the model); "tensor" is mergekit's: the largest of each tensor.
        floor(density n) are kept, 1 at least, and with the smallest of them all that are as large.
        """
        delta = block.deltas[model]
        delta *= np.abs(delta) >= measured[model]
        return delta


class DareLinear(TaskArithmetic):
    name = "dare_linear"
    citation = "Yu et al. 2023, Language Models are Super Mario, arXiv 2311.03099"

    # The paper tries p from 0.1 to 0.9.
    density: Density = 0.5
    seed: MaskSeed = 0

    def sparse(self, block: Block, model: int, measured: None) -> Array:
        """DARE: each element is dropped with probability p = 1 - density, and what is left divided by 1 - p, so that
        the change stays the same in expectation.

        Source: Yu et al. 2023, Language Models are Super Mario, arXiv 2311.03099. mergekit (0.1) rescales each
        tensor to the sum of magnitudes that it had instead; that is not done here.
        """
        delta = block.deltas[model]
        if self.density < 1:
            drawn = draws(self.seed, block.name, model, block.start, delta.size).reshape(delta.shape)
            delta *= drawn < round(self.density * RANGE)
            delta *= 1 / self.density
        return delta


class DareTies(DareLinear):
    departs = "dropping takes the place of TIES' trimming, as in mergekit; the paper drops first, then trims"
    name, strength, consensus, mean = "dare_ties", 1.0, staticmethod(elected), True


class Breadcrumbs(TaskArithmetic):
    name = "breadcrumbs"
    citation = "Davari & Belilovsky 2023, Model Breadcrumbs, arXiv 2312.06795"
    departs = "magnitudes are ranked within tensors, as in mergekit; the authors' code ranks within rows"
    # The start of the authors' own search (their code): alpha 0.2, beta 0.15, gamma 0.006.
    strength = 0.2

    density: Density = 0.15
    outliers: Annotated[Size, "share of each change, the largest, that is dropped"] = 0.006

    def check(self) -> None:
        if self.outliers + self.density > 1 and self.density < 1 or self.outliers >= 1:
            raise ValueError(f"outliers {self.outliers} and density {self.density} are more than 1 together")

    def measure(self, models: Models, name: str, survey: None) -> list[tuple[float, float]]:
        """The smallest magnitude that is kept and the smallest one above it that is not, for each model."""
        count = models.origin.tensors[name].count
        dropped, kept = int(self.outliers * count), int(self.density * count)
        ranks = [min(count, max(1, dropped + kept)), max(1, dropped)]
        if self.density >= 1 or count == 0:
            return [(0.0, np.inf)] * len(models.tuned)
        limits = (of_changes(models, model, [name], map, ranks) for model in range(len(models.tuned)))
        return [(low, high if dropped else np.inf) for low, high in limits]

    def sparse(self, block: Block, model: int, measured: list[tuple[float, float]]) -> Array:
        """Breadcrumbs' mask: without the share `outliers` of each tensor's change that is largest in magnitude, and
        without the smallest, so that the share `density` is left.

        Source: Davari & Belilovsky 2023, Model Breadcrumbs, arXiv 2312.06795, a mask for each layer.
        floor(share n) are meant; equal magnitudes share their fate.
        """
        delta, (low, high) = block.deltas[model], measured[model]
        size = np.abs(delta)
        delta *= (size >= low) & (size < high)
        return delta


class DellaLinear(TaskArithmetic):
    name = "della_linear"
    citation = "Deep et al. 2024, DELLA-Merging, arXiv 2406.11617"
    departs = "changes are summed as they are, as in mergekit; the paper elects signs, which is `della`"

    density: Density = 0.5
    # The default follows the authors' code, 0.05 to either side.
    epsilon: Annotated[Size, "width of the range of probabilities, from a row's smallest change to its largest"] = 0.1
    seed: MaskSeed = 0

    def check(self) -> None:
        low, high = self.density - self.epsilon / 2, self.density + self.epsilon / 2
        if self.density < 1 and not 0 < low <= high <= 1:
            raise ValueError(f"density {self.density} and epsilon {self.epsilon} leave probabilities of 0 to 1")

    def sparse(self, block: Block, model: int, measured: None) -> Array:
        """DELLA's MagPrune: elements are dropped at random, the larger ones of a row less often, and what is left is
        divided by the probability with which it is kept.

        In a row of n elements, that of rank r by magnitude (0 the smallest) is kept with probability
        density - epsilon / 2 + epsilon r / (n - 1). Source: Deep et al. 2024, DELLA-Merging, arXiv 2406.11617
        (p_i = p_min + Delta_i, p_min = p - epsilon / 2). In mergekit the window is twice as wide for the same epsilon,
        and tensors are rescaled to their sum of magnitudes; here as in the paper.
        """
        delta = block.deltas[model]
        if self.density >= 1:
            return delta
        columns = delta.shape[1]
        ranks = np.empty(delta.shape, np.float32)
        order = np.abs(delta).argsort(axis=1, kind="stable")
        steps = np.linspace(0, 1, columns, dtype=np.float32) if columns > 1 else np.array([0.5], np.float32)
        np.put_along_axis(ranks, order, np.broadcast_to(steps, delta.shape), axis=1)
        kept = self.density - self.epsilon / 2 + self.epsilon * ranks
        drawn = draws(self.seed, block.name, model, block.start, delta.size).reshape(delta.shape)
        delta *= drawn < kept.astype(np.float64) * RANGE
        delta /= kept
        return delta


class Della(DellaLinear):
    name, strength, consensus, mean = "della", 1.0, staticmethod(elected), True
    departs = ""
