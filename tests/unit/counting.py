"""Torch's own count of FLOPs, which ours are held against."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from graft.flops.counts import cholesky_flops, eigen_flops, svd_flops

COUNTED = {
    # Torch counts no decompositions; with our formulas for a single one, their number and sizes are counted too.
    torch.ops.aten._linalg_eigh: lambda shape, *_, **__: eigen_flops(shape[-1]),
    torch.ops.aten._linalg_svd: lambda shape, *_, **__: svd_flops(*shape),
    torch.ops.aten.linalg_cholesky_ex: lambda shape, *_, **__: cholesky_flops(shape[-1]),
    torch.ops.aten.cholesky_solve: lambda columns, factor, **_: 2 * factor[-1] ** 2 * columns[-1],
    # Nor does it count products added in place.
    torch.ops.aten.addmm_: lambda _, a, b, **__: 2 * a[0] * a[1] * b[1],
    # It counts no product of a matrix with a vector, but one of a vector with a matrix.
    torch.ops.aten.mm: lambda a, b, **_: 0 if a[0] == 1 else 2 * a[0] * a[1] * b[1],
}


def counting_flops() -> FlopCounterMode:
    """Counts matrix products, those of eager attention too, and decompositions by formula.

    Products with a single vector, and outer products, are not counted.
    """
    return FlopCounterMode(display=False, custom_mapping=COUNTED)
