"""Maps from units to their most similar units, by optimal transport."""

import numpy as np
import ot
import torch
from torch import Tensor

from graft.merging.alignment.maps import Maps
from graft.merging.moments import Moments

# Entropic regularisation of the soft plan, in units of the cost (1 - correlation, so from 0 to 2).
# exp(-2 / 0.05) is 4e-18, so the log domain, which takes ten times as long, is not needed.
SOFTNESS = 0.05
# Maximum number of Sinkhorn iterations; real models usually need 70.
STEPS = 10_000


def plan(moments: Moments, hard: bool) -> Tensor:
    """Transport plan [w_S, w_L] between the units of the two models, all of equal mass; its entries sum to 1.

    The cost of a pair is 1 - the correlation of their activations. hard: the exact optimum (for equal widths a
    permutation); otherwise entropic (Sinkhorn). A constant unit has correlation 0 with every other.
    """
    spread = torch.outer(moments.centred_small().diagonal(), moments.centred_large().diagonal()).clamp(min=0).sqrt()
    correlation = torch.where(spread > 0, moments.centred_cross() / spread.clamp(min=1e-300), 0.0)
    cost = (1 - correlation).cpu().numpy()
    masses = [np.full(units, 1 / units) for units in cost.shape]
    if hard:
        return torch.from_numpy(ot.emd(*masses, cost)).to(moments.cross)
    return torch.from_numpy(ot.sinkhorn(*masses, cost, reg=SOFTNESS, numItermax=STEPS)).to(moments.cross)


def transported(moments: Moments, hard: bool) -> Maps:
    """Maps that make each large unit the mean of its small units, and each small unit the mean of its large ones.

    The columns of the plan times w_L sum to 1 (forward), as do the rows of the plan times w_S (backward, transposed),
    so a weight that reads copies of a unit is divided among them. Source: Singh & Jaggi 2020, arXiv 1910.05653,
    section 4.
    """
    found = plan(moments, hard)
    small, large = found.shape
    return Maps(large * found, (small * found).T)
