"""A probe on the large model, moved by what fine-tuning did to the small model's logits.

Source: Liu et al. 2024, Tuning Language Models by Proxy, arXiv 2401.08565, for generators; here with classifiers, the
untuned small model's logits being those of a probe on it.
"""

from collections.abc import Callable, Iterable

from torch import Tensor

from graft.merging.composite.logit_ensemble.maths import centred, scale
from graft.merging.selection import Choice, Point, search

# Scales of the logits of the probe, the fine-tuned small model and the probe on the small model.
Scales = tuple[float, float, float]


def fit(
    probe: Tensor,
    tuned: Tensor,
    untuned: Tensor,
    strengths: Iterable[float],
    score: Callable[[Tensor], float],
    scores: bool,
) -> tuple[Choice, Scales | None]:
    """Choose the strength on `select`, from the three systems' logits (or `scores`) [n, c] there.

    `score` is the metric of logits [n, c]. Returns the choice and the scales to store with it (None for scores). Raises
    ValueError if the three give different numbers of rows or outputs.
    """
    if not probe.shape == tuned.shape == untuned.shape:
        raise ValueError(
            f"proxy_tuning: the large model's probe gives logits {list(probe.shape)}, the small model "
            f"{list(tuned.shape)} and its probe {list(untuned.shape)}; all must answer the same texts and classes"
        )
    scales = None if scores else (scale(probe), scale(tuned), scale(untuned))
    points = [Point(float(alpha)) for alpha in strengths]
    return search(points, lambda point: score(combine(probe, tuned, untuned, point.strength, scales))), scales


def combine(probe: Tensor, tuned: Tensor, untuned: Tensor, alpha: float, scales: Scales | None) -> Tensor:
    """z_L + alpha (z_S_ft - z_S_0) [n, c]; with classes, the small model's are centred and brought to z_L's scale.

    A probe fitted to one-hot labels and a classifier trained by cross-entropy have logits of unlike sizes, so that
    without scales their difference would be the latter. Scores (`scales` None) are used as they are.
    """
    if scales is None:
        return probe + alpha * (tuned - untuned)
    return probe + alpha * scales[0] * (centred(tuned) / scales[1] - centred(untuned) / scales[2])
