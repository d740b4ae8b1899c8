"""Fisher merging: an average in which a model's parameter counts by how much its predictions depend on it."""

import math
from typing import Annotated, Any

import numpy as np

from graft.merging.homogeneous.formats import Array
from graft.merging.homogeneous.models import Block, Models, read
from graft.merging.homogeneous.products import inner
from graft.merging.homogeneous.protocol import Each, Method
from graft.registry.options import Size

FISHER = "fisher.safetensors"


class Fisher(Method):
    """theta = sum_i w_i F_i theta_i / sum_i w_i F_i, elementwise.

    F_i is the diagonal of model i's Fisher information (`fisher_gram.fisher_diagonal`), `floor` at least (1e-6, as the
    authors' code) and, where `normalise` says so (as their code does), divided by its norm over the whole model.
    Source: Matena & Raffel 2021, Merging Models with Fisher-Weighted Averaging, arXiv 2111.09832.
    """

    name = "fisher"
    citation = "Matena & Raffel 2021, Merging Models with Fisher-Weighted Averaging, arXiv 2111.09832"
    departs = "the floor is for all models; in the authors' code for the first one unless asked. One output: ours"
    implementation = f"{__name__}:Fisher"
    base = False
    statistics = FISHER

    floor: Annotated[Size, "smallest value of a Fisher diagonal"] = 1e-6
    normalise: Annotated[bool, "divide each model's Fisher diagonal by its norm"] = True

    def survey(self, models: Models, each: Each) -> list[float]:
        """The norm of each model's Fisher diagonal, or 1."""
        if not self.normalise:
            return [1.0] * len(models.tuned)

        def squares(name: str) -> Array:
            return sum(
                (np.array([inner(f, f) for f in self._diagonals(models, block)]) for block in models.blocks(name)),
                np.zeros(len(models.tuned)),
            )

        norms = [math.sqrt(square) for square in sum(each(squares, models.names), np.zeros(len(models.tuned)))]
        for norm, statistics in zip(norms, models.statistics, strict=True):
            if norm == 0:
                raise ValueError(f"{statistics.name}: every Fisher value is 0; compute them on more examples")
        return norms

    def change(self, models: Models, block: Block, measured: list[float]) -> Array:
        total, counted = np.zeros_like(block.origin), np.zeros_like(block.origin)
        diagonals = self._diagonals(models, block)
        for delta, diagonal, weight, norm in zip(block.deltas, diagonals, models.weights, measured, strict=True):
            share = (weight / norm) * np.maximum(diagonal, self.floor)
            counted += share
            total += share * delta
        return models.strength * total / counted

    def _diagonals(self, models: Models, block: Block) -> list[Array]:
        dtype: Any = block.origin.dtype.type
        place = block.start, block.stop
        return [read(s, block.name, *place, dtype).reshape(block.origin.shape) for s in models.statistics]
