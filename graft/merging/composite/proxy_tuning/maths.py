"""A probe on the large model, moved by what fine-tuning did to the small model's logits.

Source: Liu et al. 2024, Tuning Language Models by Proxy, arXiv 2401.08565.
"""

from torch import Tensor

from graft.merging.composite.logit_ensemble.maths import centred

# Scales of the logits of the probe, the fine-tuned small model and the probe on the small model.
Scales = tuple[float, float, float]


def combine(probe: Tensor, tuned: Tensor, untuned: Tensor, alpha: float, scales: Scales | None) -> Tensor:
    """z_L + alpha (z_S_ft - z_S_0) [n, c]; with classes, the small model's are centred and brought to z_L's scale.

    A probe fitted to one-hot labels and a classifier trained by cross-entropy have logits of unlike sizes, so that
    without scales their difference would be the latter. Scores (`scales` None) are used as they are.
    """
    if scales is None:
        return probe + alpha * (tuned - untuned)
    return probe + alpha * scales[0] * (centred(tuned) / scales[1] - centred(untuned) / scales[2])
