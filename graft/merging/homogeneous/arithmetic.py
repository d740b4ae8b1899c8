"""The family of task arithmetic, as a table: how each change is made sparse, how changes agree, how they are scaled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from graft.merging.homogeneous.averages import weighted_sum
from graft.merging.homogeneous.formats import Array
from graft.merging.homogeneous.models import Block, Models
from graft.merging.homogeneous.protocol import Each, Method, Settings
from graft.merging.homogeneous.sparsifiers import Dense, Drop, MagPrune, Middle, Trim
from graft.registry.methods import OneShape

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


class Row(NamedTuple):
    """One method: base + strength * scaling(consensus(sparsifier(model_i - base))).

    If `mean`, the scaling divides the consensus' sum by the weights in it; otherwise it leaves the sum unchanged.
    `strength`: the published default.
    """

    sparsifier: type[Dense]
    consensus: Consensus
    mean: bool
    strength: float
    citation: str


DARE = "Yu et al. 2023, Language Models are Super Mario, arXiv 2311.03099"
DELLA = "Deep et al. 2024, DELLA-Merging, arXiv 2406.11617"
FAMILY = {
    # 0.3: the paper's best for eight tasks, and its advice if no strength can be tried.
    "task_arithmetic": Row(
        Dense, everyone, False, 0.3, "Ilharco et al. 2022, Editing Models with Task Arithmetic, arXiv 2212.04089"
    ),
    # 20% and 1: the paper's settings without validation data.
    "ties": Row(Trim, elected, True, 1.0, "Yadav et al. 2023, TIES-Merging, arXiv 2306.01708"),
    # The paper tries p from 0.1 to 0.9; merged as in task arithmetic, or as in TIES with dropping in place of trimming.
    "dare_linear": Row(Drop, everyone, False, 0.3, DARE),
    "dare_ties": Row(Drop, elected, True, 1.0, DARE),
    # The start of the authors' own search (their code): alpha 0.2, beta 0.15, gamma 0.006.
    "breadcrumbs": Row(Middle, everyone, False, 0.2, "Davari & Belilovsky 2023, Model Breadcrumbs, arXiv 2312.06795"),
    "della_linear": Row(MagPrune, everyone, False, 0.3, DELLA),
    "della": Row(MagPrune, elected, True, 1.0, DELLA),
}
METHODS = tuple(
    OneShape(
        name=name,
        citation=row.citation,
        implementation=f"{__name__}:TaskArithmetic",
        strength=row.strength,
        options=row.sparsifier.takes,
    )
    for name, row in FAMILY.items()
)


class TaskArithmetic(Method):
    """theta = theta_0 + strength * merged(tau_1, ..., tau_n), with changes ("task vectors") tau_i = theta_i - theta_0.

    Ilharco et al. 2022, Editing Models with Task Arithmetic, arXiv 2212.04089: the sum of the tau_i as they are. The
    other rows of FAMILY first make them sparse (see the sparsifiers for formulas and sources), and merge either by that
    sum, or by TIES' mean over the models that agree in sign.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._row = FAMILY[settings.method]
        self._sparsifier = self._row.sparsifier(settings.options)

    def survey(self, models: Models, each: Each) -> Any:
        return self._sparsifier.survey(models, each)

    def measure(self, models: Models, name: str, survey: Any) -> Any:
        return self._sparsifier.measure(models, name, survey)

    def change(self, models: Models, block: Block, measured: Any) -> Array:
        sparse = [self._sparsifier.sparse(block, model, measured) for model in range(len(block.deltas))]
        total, counted = self._row.consensus(sparse, models.weights)
        if self._row.mean:
            # The total weight is 0 only where nothing is merged. (numpy's own `where` takes twenty times as long.)
            total *= counted != 0
            total /= counted + (counted == 0)
        return total if self.settings.strength == 1 else self.settings.strength * total
