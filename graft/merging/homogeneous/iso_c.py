"""Iso-C: the sum of the models' changes, with all its directions made equally strong."""

from typing import Any

from graft.flops.counts import svd_flops
from graft.flops.one_shape import matrices
from graft.merging.homogeneous.averages import weighted_mean, weighted_sum
from graft.merging.homogeneous.formats import Array
from graft.merging.homogeneous.models import Block, Models
from graft.merging.homogeneous.products import svd
from graft.merging.homogeneous.protocol import Method
from graft.registry.shapes import Shape


def flattened(matrix: Array, device: str) -> Array:
    """Replace a matrix's singular values by their mean: U diag(s) V^T becomes mean(s) U V^T. [m, n]"""
    left, values, right = svd(matrix, device)
    return values.mean() * (left @ right)


class IsoC(Method):
    """theta = theta_0 + strength * mean(s) U V^T with U diag(s) V^T = sum_i w_i (theta_i - theta_0), for matrices; the
    mean change for all other tensors.

    Two models that agree do not merge into themselves: what is flattened is flattened. Source: Marczak et al. 2025, No
    Task Left Behind, arXiv 2502.04959; for tensors that are no matrices, their code.
    """

    name = "iso_c"
    citation = "Marczak et al. 2025, No Task Left Behind: Isotropic Model Merging, arXiv 2502.04959"
    departs = "the strength is 1 unless it is searched, as the authors do on held-out data"
    implementation = f"{__name__}:IsoC"

    @staticmethod
    def factoring(shape: Shape, outputs: int | None, models: int) -> int:
        """FLOPs of every matrix's decomposition and the product of its factors."""
        return sum(svd_flops(m, n) + 2 * m * n * min(m, n) for m, n in matrices(shape, outputs))

    def whole(self, models: Models, name: str) -> bool:
        return len(models.origin.tensors[name].shape) == 2

    def change(self, models: Models, block: Block, measured: Any) -> Array:
        if not self.whole(models, block.name):
            return models.strength * weighted_mean(block.deltas, models.weights)
        return models.strength * flattened(weighted_sum(block.deltas, models.weights), models.device)
