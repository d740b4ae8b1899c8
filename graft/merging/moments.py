"""Second moments of a small and a large model's activations on the same tokens, summed in float64."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

# A unit whose variance is below this share of its mean square counts as constant: that much is rounding error.
CONSTANT = 1e-14


@dataclass(frozen=True)
class Moments:
    """Sums over tokens: count, small [w_S], large [w_L], cross = small^T large [w_S, w_L], and, if requested, the Gram
    matrices small^T small [w_S, w_S] and large^T large [w_L, w_L]."""

    count: int
    small: Tensor
    large: Tensor
    cross: Tensor
    gram_small: Tensor | None = None
    gram_large: Tensor | None = None

    @classmethod
    def of(cls, small: Tensor, large: Tensor, grams: bool) -> Moments:
        """Sums over activations small [n, w_S] and large [n, w_L] of the same tokens."""
        small, large = small.double(), large.double()
        sums = len(small), small.sum(0), large.sum(0), small.T @ large
        return cls(*sums, small.T @ small, large.T @ large) if grams else cls(*sums)

    def added(self, small: Tensor, large: Tensor) -> Moments:
        """Add more tokens. This updates the tensors in place, so do not use the old moments afterwards."""
        small, large = small.double(), large.double()
        self.small.add_(small.sum(0))
        self.large.add_(large.sum(0))
        self.cross.addmm_(small.T, large)
        if self.gram_small is not None and self.gram_large is not None:
            self.gram_small.addmm_(small.T, small)
            self.gram_large.addmm_(large.T, large)
        return replace(self, count=self.count + len(small))

    def __add__(self, other: Moments) -> Moments:
        both = zip(vars(self).values(), vars(other).values(), strict=True)
        sums: Iterable[Any] = (None if one is None or two is None else one + two for one, two in both)
        return Moments(*sums)

    @property
    def grams(self) -> tuple[Tensor, Tensor]:
        """The Gram matrices, small and large; raises ValueError if they were not requested."""
        if self.gram_small is None or self.gram_large is None:
            raise ValueError("least squares needs Gram matrices, which this site was not calibrated for")
        return self.gram_small, self.gram_large

    @property
    def mean_small(self) -> Tensor:
        return self.small / self.count

    @property
    def mean_large(self) -> Tensor:
        return self.large / self.count

    def centred_cross(self) -> Tensor:
        """Sum of (small - mean)^T (large - mean). [w_S, w_L]"""
        return self.cross - torch.outer(self.small, self.large) / self.count

    def centred_small(self) -> Tensor:
        """Sum of (small - mean)^T (small - mean). [w_S, w_S]"""
        return self.grams[0] - torch.outer(self.small, self.small) / self.count

    def centred_large(self) -> Tensor:
        """Sum of (large - mean)^T (large - mean). [w_L, w_L]"""
        return self.grams[1] - torch.outer(self.large, self.large) / self.count

    def centred(self) -> Moments:
        """The moments after subtracting this site's mean; constant units become zero.

        Sites are centred before they are pooled, since differences between their means carry no signal: a key's bias,
        for example, is arbitrary.
        """
        small, large = self.centred_small(), self.centred_large()
        varies_small = small.diagonal() > CONSTANT * self.grams[0].diagonal()
        varies_large = large.diagonal() > CONSTANT * self.grams[1].diagonal()
        return Moments(
            self.count,
            torch.zeros_like(self.small),
            torch.zeros_like(self.large),
            self.centred_cross() * torch.outer(varies_small, varies_large),
            small * torch.outer(varies_small, varies_small),
            large * torch.outer(varies_large, varies_large),
        )

    def through(self, small: tuple[Tensor, Tensor], large: tuple[Tensor, Tensor]) -> Moments:
        """The moments of the outputs of linear layers (weight [out, in], bias [out]) on these activations."""
        (weight_s, bias_s), (weight_l, bias_l) = small, large
        n, sum_s, sum_l = self.count, weight_s @ self.small, weight_l @ self.large

        def product(inner: Tensor, left: tuple[Tensor, ...], right: tuple[Tensor, ...]) -> Tensor:
            (weight, bias, total), (other_weight, other_bias, other_total) = left, right
            mixed = torch.outer(total, other_bias) + torch.outer(bias, other_total) + n * torch.outer(bias, other_bias)
            return weight @ inner @ other_weight.T + mixed

        a, b = (weight_s, bias_s, sum_s), (weight_l, bias_l, sum_l)
        return Moments(
            n,
            sum_s + n * bias_s,
            sum_l + n * bias_l,
            product(self.cross, a, b),
            None if self.gram_small is None else product(self.gram_small, a, a),
            None if self.gram_large is None else product(self.gram_large, b, b),
        )

    def with_direction(self, small: Tensor, large: Tensor, share: float) -> Moments:
        """Add virtual tokens, `share` of the number of tokens, at the mean + and - a direction ([w_S] and [w_L])."""
        weight = share * self.count
        return replace(
            self,
            cross=self.cross + weight * torch.outer(small, large),
            gram_small=self.grams[0] + weight * torch.outer(small, small),
            gram_large=self.grams[1] + weight * torch.outer(large, large),
        )

    def block(self, small: Tensor, large: Tensor) -> Moments:
        """The moments of a subset of units, given by index."""
        return Moments(
            self.count,
            self.small[small],
            self.large[large],
            self.cross[small][:, large],
            None if self.gram_small is None else self.gram_small[small][:, small],
            None if self.gram_large is None else self.gram_large[large][:, large],
        )

    def tensors(self, site: str) -> dict[str, Tensor]:
        """Convert to named tensors, as a safetensors file has them."""
        named = {name: value for name, value in vars(self).items() if name != "count" and value is not None}
        count = {f"{site}.count": torch.tensor(self.count, device=self.cross.device)}
        return count | {f"{site}.{name}": tensor.contiguous() for name, tensor in named.items()}


class Filed(Mapping[str, Tensor]):
    """The moments in a safetensors file, each read on request: together they take gigabytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with safe_open(path, "pt") as file:
            self.names = frozenset(file.keys())

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.names:
            raise KeyError(name)
        # A file that stayed open would keep all that was ever read in memory.
        with safe_open(self.path, "pt") as file:
            return file.get_tensor(name)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.names))

    def __len__(self) -> int:
        return len(self.names)


def total(parts: Iterable[Moments]) -> Moments:
    """Pool the moments of several sites."""
    return functools.reduce(operator.add, parts)


def read(sums: Mapping[str, Tensor], site: str, small: int, large: int) -> Moments:
    """Read one site's moments, of widths small and large; raises ValueError naming a missing or misshapen tensor."""
    expected = {"count": (), "small": (small,), "large": (large,), "cross": (small, large)}
    if f"{site}.gram_small" in sums:
        expected |= {"gram_small": (small, small), "gram_large": (large, large)}
    for name, size in expected.items():
        tensor = sums.get(f"{site}.{name}")
        if tensor is None:
            raise ValueError(f"moments: {site}.{name} is missing; calibrate this pair of models again")
        if tuple(tensor.shape) != size:
            raise ValueError(f"moments: {site}.{name} has shape {list(tensor.shape)}, not {list(size)}")
    return Moments(int(sums[f"{site}.count"]), **{n: sums[f"{site}.{n}"] for n in expected if n != "count"})
