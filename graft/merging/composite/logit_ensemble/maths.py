"""The weighted mean of the fine-tuned small model's logits and those of a probe on the large model."""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor

from graft.merging.selection import Choice, Point, search


def fit(
    combine: Callable[..., Tensor],
    logits: Mapping[str, Tensor],
    strengths: Iterable[float],
    score: Callable[[Tensor], float],
    scores: bool,
) -> tuple[Choice, tuple[float, ...] | None]:
    """Choose the strength by which logits (or `scores`) [n, c] are combined, from those of each system on `select`.

    `combine(*logits, strength, scales)` gives combined logits [n, c], and `score` is their metric. Returns the choice
    and the scales to store with it (None for scores). Raises ValueError if systems give different numbers of rows or
    outputs.
    """
    if len({tensor.shape for tensor in logits.values()}) > 1:
        given = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in logits.items())
        raise ValueError(f"logits are of unlike shapes: {given}; all systems must answer the same texts and classes")
    scales = None if scores else tuple(map(scale, logits.values()))
    points = [Point(float(strength)) for strength in strengths]
    return search(points, lambda point: score(combine(*logits.values(), point.strength, scales))), scales


def combine(small_logits: Tensor, probe_logits: Tensor, beta: float, scales: tuple[float, float] | None) -> Tensor:
    """beta z_S + (1 - beta) z_L [n, c]; classes' logits are centred over classes and divided by their scale first.

    A probe fitted to one-hot labels and a classifier trained by cross-entropy have logits of unlike sizes, so that
    without scales beta would mean little. Scores (`scales` None) are used as they are.
    """
    if scales is not None:
        small_logits, probe_logits = centred(small_logits) / scales[0], centred(probe_logits) / scales[1]
    return beta * small_logits + (1 - beta) * probe_logits


def scale(logits: Tensor) -> float:
    """Root mean square of logits [n, c] centred over classes; 1 if that is 0."""
    return centred(logits.double()).square().mean().sqrt().item() or 1.0


def centred(logits: Tensor) -> Tensor:
    """Logits [n, c] minus their mean over classes."""
    return logits - torch.mean(logits, dim=-1, keepdim=True)
