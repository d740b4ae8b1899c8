"""The greedy soup: the uniform average of those models that make it better."""

from collections.abc import Callable, Sequence

from graft.merging.homogeneous.averages import Average
from graft.registry.methods import GREEDY


class Greedy(Average):
    name = kind = GREEDY
    implementation = f"{__name__}:greedy"


def greedy(scores: Sequence[float], score: Callable[[tuple[int, ...]], float]) -> tuple[int, ...]:
    """Which models a greedy soup averages, as indices into `scores`, in the order in which they came in.

    From the best model down, each goes in if the average of what is in and itself scores no worse on held-out data than
    without it (arXiv 2203.05482, recipe 1). scores: of each model alone; score: of the uniform average of some models,
    higher is better. Raises ValueError if there are none.
    """
    if not scores:
        raise ValueError("a greedy soup needs at least one model")
    best, *rest = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    chosen: tuple[int, ...] = (best,)
    reached = scores[best]
    for model in rest:
        tried = score((*chosen, model))
        if tried >= reached:
            chosen, reached = (*chosen, model), tried
    return chosen
