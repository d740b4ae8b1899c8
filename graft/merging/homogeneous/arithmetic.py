"""The family of task arithmetic: how each change is made sparse, how changes agree, how they are scaled."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np

from graft.merging.facts import OneShape
from graft.merging.homogeneous.averages import weighted_sum
from graft.merging.homogeneous.formats import Array
from graft.merging.homogeneous.models import Block, Models
from graft.merging.homogeneous.protocol import Each, Method, Settings
from graft.merging.homogeneous.sparsifiers import Dense, Drop, MagPrune, Middle, Trim
from graft.registry.options import Seed, Share, Size

# Maps changes and weights to the weighted sum and the total weight in it, a scalar or one per element.
Consensus = Callable[[Sequence[Array], Sequence[float]], tuple[Array, Array | float]]


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


class TaskArithmeticOptions(OneShape):
    """A method of the family: base + strength * scaling(consensus(sparsifier(model_i - base))).

    If `mean`, the scaling divides the consensus' sum by the weights in it; otherwise it leaves the sum unchanged.
    """

    name = "task_arithmetic"
    citation = "Ilharco et al. 2022, Editing Models with Task Arithmetic, arXiv 2212.04089"
    implementation = f"{__name__}:TaskArithmetic"
    # The paper's best for eight tasks, and its advice if no strength can be tried.
    strength = 0.3
    sparsifier: ClassVar[type[Dense]] = Dense
    consensus: ClassVar[Consensus] = staticmethod(everyone)
    mean: ClassVar[bool] = False


class TiesOptions(TaskArithmeticOptions):
    name = "ties"
    citation = "Yadav et al. 2023, TIES-Merging, arXiv 2306.01708"
    sparsifier, consensus, mean = Trim, staticmethod(elected), True
    # 1 and 20%: the paper's settings without validation data.
    strength = 1.0

    density: Density = 0.2
    scope: Annotated[Literal["model", "tensor"], "largest of the whole model (the paper) or of each tensor"] = "model"


class DareLinearOptions(TaskArithmeticOptions):
    name = "dare_linear"
    citation = "Yu et al. 2023, Language Models are Super Mario, arXiv 2311.03099"
    sparsifier = Drop

    # The paper tries p from 0.1 to 0.9.
    density: Density = 0.5
    seed: MaskSeed = 0


class DareTiesOptions(DareLinearOptions):
    # As TIES, with dropping in place of trimming.
    name, strength, consensus, mean = "dare_ties", 1.0, staticmethod(elected), True


class BreadcrumbsOptions(TaskArithmeticOptions):
    name = "breadcrumbs"
    citation = "Davari & Belilovsky 2023, Model Breadcrumbs, arXiv 2312.06795"
    sparsifier = Middle
    # The start of the authors' own search (their code): alpha 0.2, beta 0.15, gamma 0.006.
    strength = 0.2

    density: Density = 0.15
    outliers: Annotated[Size, "share of each change, the largest, that is dropped"] = 0.006

    def check(self) -> None:
        if self.outliers + self.density > 1 and self.density < 1 or self.outliers >= 1:
            raise ValueError(f"outliers {self.outliers} and density {self.density} are more than 1 together")


class DellaLinearOptions(TaskArithmeticOptions):
    name = "della_linear"
    citation = "Deep et al. 2024, DELLA-Merging, arXiv 2406.11617"
    sparsifier = MagPrune

    density: Density = 0.5
    # The default follows the authors' code, 0.05 to either side.
    epsilon: Annotated[Size, "width of the range of probabilities, from a row's smallest change to its largest"] = 0.1
    seed: MaskSeed = 0

    def check(self) -> None:
        low, high = self.density - self.epsilon / 2, self.density + self.epsilon / 2
        if self.density < 1 and not 0 < low <= high <= 1:
            raise ValueError(f"density {self.density} and epsilon {self.epsilon} leave probabilities of 0 to 1")


class DellaOptions(DellaLinearOptions):
    name, strength, consensus, mean = "della", 1.0, staticmethod(elected), True


class TaskArithmetic(Method):
    """theta = theta_0 + strength * merged(tau_1, ..., tau_n), with changes ("task vectors") tau_i = theta_i - theta_0.

    Ilharco et al. 2022, Editing Models with Task Arithmetic, arXiv 2212.04089: the sum of the tau_i as they are. The
    other methods here first make them sparse (see the sparsifiers for formulas and sources), and merge either by that
    sum, or by TIES' mean over the models that agree in sign.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._sparsifier = settings.options.sparsifier(settings.options)

    def survey(self, models: Models, each: Each) -> Any:
        return self._sparsifier.survey(models, each)

    def measure(self, models: Models, name: str, survey: Any) -> Any:
        return self._sparsifier.measure(models, name, survey)

    def change(self, models: Models, block: Block, measured: Any) -> Array:
        sparse = [self._sparsifier.sparse(block, model, measured) for model in range(len(block.deltas))]
        total, counted = self.settings.options.consensus(sparse, models.weights)
        if self.settings.options.mean:
            # The total weight is 0 only where nothing is merged. (numpy's own `where` takes twenty times as long.)
            total *= counted != 0
            total /= counted + (counted == 0)
        return total if self.settings.strength == 1 else self.settings.strength * total
