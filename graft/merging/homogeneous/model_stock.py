"""Model Stock: the mean of fine-tuned models, drawn back towards the pre-trained one by how far they disagree."""

import itertools
import math
from typing import Any

from graft.merging.homogeneous.averages import weighted_mean
from graft.merging.homogeneous.formats import Array
from graft.merging.homogeneous.models import Block, Models
from graft.merging.homogeneous.products import inner
from graft.merging.homogeneous.protocol import Method


def ratio(cosine: float, models: int) -> float:
    """Interpolation weight t = N cos / (1 + (N - 1) cos) for N models whose changes have this mean cosine."""
    return models * cosine / (1 + (models - 1) * cosine)


class ModelStock(Method):
    """theta = t mean_i(theta_i) + (1 - t) theta_0, with t = N cos / (1 + (N - 1) cos) for each tensor.

    cos is the mean over pairs of models of the cosine between their changes of this tensor. Below 0 it counts as 0: the
    models then share no direction, and the formula, made for angles below 90 degrees, would leave [0, 1] (mergekit lets
    it). Source: Jang et al. 2024, Model Stock, arXiv 2403.19522, in its form for N models.
    """

    name = "model_stock"
    citation = "Jang et al. 2024, Model Stock, arXiv 2403.19522"
    departs = "once, of finished models: no merging during training; cosines below 0 count as 0; each tensor is a layer"
    implementation = f"{__name__}:ModelStock"
    weighted = False
    models = (2, None)

    def measure(self, models: Models, name: str, survey: Any) -> float:
        count = len(models.tuned)
        products = dict.fromkeys(itertools.combinations_with_replacement(range(count), 2), 0.0)
        for block in models.blocks(name):
            for i, j in products:
                products[i, j] += inner(block.deltas[i], block.deltas[j])
        cosines = []
        for i, j in itertools.combinations(range(count), 2):
            norms = math.sqrt(products[i, i] * products[j, j])
            cosines.append(products[i, j] / norms if norms > 0 else 0.0)
        cosine = sum(cosines) / len(cosines)
        return ratio(max(0.0, min(1.0, cosine)), count)

    def change(self, models: Models, block: Block, measured: float) -> Array:
        return models.strength * measured * weighted_mean(block.deltas, models.weights)
