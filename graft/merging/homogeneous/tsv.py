"""TSV-Merge: the strongest directions of each model's change, kept apart from those of the others."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from graft.flops.counts import svd_flops
from graft.flops.one_shape import matrices
from graft.merging.homogeneous.averages import weighted_mean
from graft.merging.homogeneous.formats import Array
from graft.merging.homogeneous.models import Block, Models
from graft.merging.homogeneous.products import svd
from graft.merging.homogeneous.protocol import Method
from graft.registry.shapes import Shape


def nearest_orthogonal(matrix: Array, device: str) -> Array:
    """P Q^T of a matrix P diag(s) Q^T: the nearest one with orthonormal columns (or rows, if it has fewer rows)."""
    left, _, right = svd(matrix, device)
    return left @ right


def joined(deltas: Sequence[Array], weights: Sequence[float], device: str) -> Array:
    """Merge the changes of a matrix [m, n] in N models.

    Each change keeps min(m, n) / N singular triplets (rounded down, at least one). The U_i are concatenated and made
    orthogonal, likewise the V_i, and the result is their product with the weighted singular values in between.
    """
    rank = max(1, min(deltas[0].shape) // len(deltas))
    parts = [svd(delta, device) for delta in deltas]
    left = np.concatenate([part[0][:, :rank] for part in parts], axis=1)  # [m, N rank]
    values = np.concatenate([weight * part[1][:rank] for part, weight in zip(parts, weights, strict=True)])
    right = np.concatenate([part[2][:rank] for part in parts], axis=0)  # [N rank, n]
    values = values.astype(left.dtype, copy=False)
    return (nearest_orthogonal(left, device) * values) @ nearest_orthogonal(right, device)


class TaskSingularVectors(Method):
    """theta = theta_0 + strength * U' diag(s) V'^T for matrices (see `joined`); the mean change for all other tensors.

    The strength is 1, as in the paper, which finds it best everywhere. Source:
    Gargiulo et al. 2024, Task Singular Vectors, arXiv 2412.00081 (TSV-Merge).
    """

    name = "tsv"
    citation = "Gargiulo et al. 2024, Task Singular Vectors, arXiv 2412.00081"
    departs = (
        "where a matrix has fewer than N rows or columns, as a small head may, each model keeps its first "
        "direction; the authors' code keeps nothing of it"
    )
    implementation = f"{__name__}:TaskSingularVectors"

    @staticmethod
    def factoring(shape: Shape, outputs: int | None, models: int) -> int:
        """FLOPs of `joined` for every matrix."""

        def joining(m: int, n: int) -> int:
            joint = models * max(1, min(m, n) // models)
            orthogonal = sum(svd_flops(side, joint) + 2 * side * joint * min(side, joint) for side in (m, n))
            return models * svd_flops(m, n) + orthogonal + 2 * m * joint * n

        return sum(joining(m, n) for m, n in matrices(shape, outputs))

    def whole(self, models: Models, name: str) -> bool:
        return len(models.origin.tensors[name].shape) == 2

    def change(self, models: Models, block: Block, measured: Any) -> Array:
        if not self.whole(models, block.name):
            return models.strength * weighted_mean(block.deltas, models.weights)
        return models.strength * joined(block.deltas, models.weights, models.device)
