"""RegMean: linear layers merged so that they compute, on all models' inputs, nearly what each model's own one does."""

from typing import Annotated, Any

import numpy as np

from graft.flops.counts import cholesky_flops
from graft.flops.one_shape import linear_layers
from graft.merging.homogeneous.averages import weighted_mean
from graft.merging.homogeneous.formats import Array
from graft.merging.homogeneous.models import Block, Models, read
from graft.merging.homogeneous.products import solve
from graft.merging.homogeneous.protocol import Method
from graft.registry.options import Size
from graft.registry.shapes import Shape

GRAM = "gram.safetensors"


def damped(gram: Array, off_diagonal: float) -> Array:
    """Multiply a Gram matrix's off-diagonal entries by `off_diagonal`."""
    return off_diagonal * gram + (1 - off_diagonal) * np.diag(np.diagonal(gram))


class RegMean(Method):
    """W = (sum_i w_i W_i G_i) (sum_i w_i G_i)^-1 for the weight [out, in] of a linear layer; other tensors: their mean.

    G_i = X_i^T X_i [in, in] is the Gram matrix of the layer's inputs in model i, per token
    (`fisher_gram.gram_matrices`), with what is off its diagonal times `off_diagonal`: 0.9, or 0.1 for T5-base.
    Inputs that are 0 in all models carry no information; their columns are averaged. Computed in float64. Source: Jin
    et al. 2022, Dataless Knowledge Fusion by Merging Weights of Language Models, arXiv 2212.09849.
    """

    name = "regmean"
    citation = "Jin et al. 2022, Dataless Knowledge Fusion by Merging Weights of Language Models, arXiv 2212.09849"
    departs = "Gram matrices are means over tokens, so that models count alike; inputs that no model sees are averaged"
    implementation = f"{__name__}:RegMean"
    base = False
    statistics = GRAM

    off_diagonal: Annotated[Size, "factor of a Gram matrix off its diagonal (T5-base: 0.1)"] = 0.9

    def check(self) -> None:
        if self.off_diagonal > 1:
            raise ValueError(f"off_diagonal {self.off_diagonal} must be 1 at most")

    @staticmethod
    def factoring(shape: Shape, outputs: int | None, models: int) -> int:
        """FLOPs of every linear layer's products with the Gram matrices, a factorisation and a solution."""
        return sum(
            models * 2 * out * wide**2 + cholesky_flops(wide) + 2 * out * wide**2
            for out, wide in linear_layers(shape, outputs)
        )

    def whole(self, models: Models, name: str) -> bool:
        return name in models.statistics[0].tensors

    def change(self, models: Models, block: Block, measured: Any) -> Array:
        if not self.whole(models, block.name):
            return models.strength * weighted_mean(block.deltas, models.weights)
        width = block.origin.shape[1]
        product = np.zeros(block.origin.shape)  # [out, in]
        grams = np.zeros((width, width))
        unseen = np.ones(width, bool)
        for delta, statistics, weight in zip(block.deltas, models.statistics, models.weights, strict=True):
            gram = read(statistics, block.name, 0, width * width, np.float64).reshape(width, width)
            unseen &= np.diagonal(gram) == 0
            gram = damped(gram, self.off_diagonal)
            product += weight * (delta.astype(np.float64) @ gram)
            grams += weight * gram
        product[:, unseen] = weighted_mean([delta[:, unseen] for delta in block.deltas], models.weights)
        grams[unseen, unseen] = 1
        try:
            merged = solve(grams, product.T, models.device).T
        except np.linalg.LinAlgError:
            raise ValueError(f"{block.name}: its Gram matrices are singular; compute them on more examples") from None
        return (models.strength * merged).astype(block.origin.dtype)
