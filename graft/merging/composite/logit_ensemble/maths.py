"""The weighted mean of the fine-tuned small model's logits and those of a probe on the large model."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from graft.merging.selection import Choice, Point, search


def fit(
    small_logits: Tensor,
    probe_logits: Tensor,
    strengths: Iterable[float],
    score: Callable[[Tensor], float],
    scores: bool,
) -> tuple[Choice, tuple[float, float] | None]:
    """Choose the small model's weight on `select`, from both models' logits (or `scores`) [n, c] there.

    `score` is the metric of combined logits [n, c]. Returns the choice and the scales to store with it (None for
    scores). Raises ValueError if the two models give different numbers of rows or outputs.
    """
    if small_logits.shape != probe_logits.shape:
        raise ValueError(
            f"logit_ensemble: the small model gives logits {list(small_logits.shape)}, the probe "
            f"{list(probe_logits.shape)}; both must answer the same texts and classes"
        )
    scales = None if scores else (scale(small_logits), scale(probe_logits))
    points = [Point(float(beta)) for beta in strengths]
    choice = search(points, lambda point: score(combine(small_logits, probe_logits, point.strength, scales)))
    return choice, scales


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
