"""Ridge regression in closed form, for many ridge sizes at the cost of one."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from graft.merging.alignment.affine import ridge_map

# A unit whose LayerNorm gain decayed to almost 0 still varies, by 1e-32 in MiniLM. Its weight would be correspondingly
# large, so that rounding errors of the states, or a gradient through that weight, would swamp all others.
DEAD = 1e-6


@dataclass(frozen=True)
class LinearMap:
    """x -> x weight^T + bias, with weight [c, w] and bias [c]."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Map [n, w] to [n, c] in the dtype of `x`."""
        return x @ self.weight.to(x).T + self.bias.to(x)


def fit(features: Tensor, targets: Tensor, sizes: Iterable[float]) -> dict[float, LinearMap]:
    """Ridge maps from features [n, w] to targets [n, c], one per ridge size, float64, in the original units.

    Features are standardised first; a ridge size is a fraction of the mean diagonal of their Gram matrix, so that
    size s equals scikit-learn's `Ridge(alpha=s * n)` on standardised features. The mean is never penalised. Features
    that are constant, or whose standard deviation is at most a millionth of the largest, get weight 0. At size 0,
    directions without variance are left out (the pseudo-inverse).
    Raises ValueError if numbers of rows differ, there are fewer than 2 rows, or values are not finite.
    """
    if len(features) != len(targets) or len(features) < 2 or features.ndim != 2 or targets.ndim != 2:
        raise ValueError(
            f"ridge: features {list(features.shape)} and targets {list(targets.shape)} must be two matrices with equal "
            "numbers of rows, at least 2"
        )
    features, targets = features.double(), targets.double()
    _check_finite(features, targets)
    mean, target_mean = features.mean(0), targets.mean(0)
    deviation, varies = _deviation(features.std(0, correction=0), mean)
    standard = (features - mean) / deviation * varies  # [n, w]
    values, vectors = torch.linalg.eigh(standard.T @ standard)
    projected = vectors.T @ (standard.T @ (targets - target_mean))  # [w, c]
    rank_limit = values.max().clamp(min=0) * len(values) * torch.finfo(values.dtype).eps

    maps = {}
    for size in sizes:
        # Standardised features that vary have n on the diagonal of their Gram matrix.
        total = values.clamp(min=0) + size * len(features)
        inverse = torch.where(total > rank_limit, 1 / total, 0.0)
        weight = (vectors @ (inverse[:, None] * projected) / deviation[:, None]).T * varies  # [c, w]
        maps[size] = LinearMap(weight, target_mean - weight @ mean)
    return maps


class Moments:
    """Sums over the rows of features and targets, added in batches, from which `maps` follow without the rows."""

    def __init__(self) -> None:
        self.rows = 0

    def add(self, features: Tensor, targets: Tensor) -> None:
        """Add features [b, w] and targets [b, c]; raises ValueError if a value is not finite."""
        joined = torch.cat([features.double(), targets.double()], dim=1)
        _check_finite(joined)
        if not self.rows:
            # Sums of differences to a typical row lose no digits where a mean is large beside the deviation.
            self.width, self.origin = features.shape[1], joined.mean(0)
            self.total, self.products = torch.zeros_like(self.origin), joined.new_zeros(self.width, joined.shape[1])
        joined -= self.origin
        self.rows += len(joined)
        self.total += joined.sum(0)
        self.products += joined[:, : self.width].T @ joined

    def maps(self, columns: slice, sizes: Iterable[float]) -> dict[float, LinearMap]:
        """As `fit`, from some columns of the features, one Cholesky factorisation per size (`ridge_map`)."""
        offset = self.total / self.rows  # of the means from the origin
        mean, target_mean = (self.origin + offset).split([self.width, len(offset) - self.width])
        mean, centred = mean[columns], self.products[columns] - torch.outer(self.total[: self.width][columns], offset)
        gram, cross = centred[:, : self.width][:, columns], centred[:, self.width :]
        _, varies = _deviation((gram.diagonal().clamp(min=0) / self.rows).sqrt(), mean)
        gram, cross = gram * varies * varies[:, None], cross * varies[:, None]
        weights = {size: ridge_map(gram, cross, self.rows, size).T for size in sizes}
        return {size: LinearMap(weight, target_mean - weight @ mean) for size, weight in weights.items()}


def _check_finite(*tensors: Tensor) -> None:
    if not all(torch.isfinite(tensor).all() for tensor in tensors):
        raise ValueError("ridge: features and targets must be finite; a model before this step diverged")


def _deviation(deviation: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Standard deviation [w] (1 where a feature is constant or dead) and whether the feature varies [w]."""
    varies = (deviation > 1e-12 * mean.abs()) & (deviation > DEAD * deviation.max())
    return torch.where(varies, deviation, torch.ones_like(deviation)), varies
