"""Aggregate scores over all tasks: the interquartile mean of normalised scores, and the mean rank.

Source: Agarwal et al. 2021, Deep Reinforcement Learning at the Edge of the Statistical Precipice, arXiv 2108.13264.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from graft.statistics.crossed import ALL, SEEDS_FOR_INTERVAL, Crossed


@dataclass(frozen=True)
class Aggregate:
    """A system over `tasks`: a score is 0 for the best constant prediction and 1 for the reference; rank 1 is the best.

    The interquartile mean is over all runs of all tasks, without the lowest and the highest quarter. Intervals are for
    new seeds and examples, None for fewer than SEEDS_FOR_INTERVAL seeds.
    """

    system: str
    tasks: tuple[str, ...]
    iqm: float
    iqm_interval: tuple[float, float] | tuple[None, None]
    rank: float
    rank_interval: tuple[float, float] | tuple[None, None]


def aggregate(tasks: Sequence[Crossed], references: Mapping[str, str]) -> list[Aggregate]:
    """Aggregate the systems of `references` ({system: its reference}) that have runs on all tasks, in its order.

    Only seeds of which every task has runs are used, so that no task counts more than another. Tasks on which a
    reference is not clearly better than a constant prediction are left out for all systems, since a score normalised by
    noise is meaningless. Returns an empty list if no task is left.
    """
    needed = set(references.values())
    tasks = [task for task in tasks if all(map(task.seeds_of, needed))]
    common = set.intersection(*(set(task.sampling.seeds) for task in tasks)) if tasks else set()
    seeds = {*common, ALL}
    scales = {(task.task, name): scale for task in tasks for name in needed if (scale := _scale(task, name, seeds))}
    used = [task for task in tasks if all((task.task, name) in scales for name in needed)]
    systems = [name for name in references if used and all(seeds & {*task.seeds_of(name)} for task in used)]
    if not systems:
        return []
    tail = (1 - used[0].confidence) / 2
    # [systems, 1 + draws] per task: the observed means, and those in every draw.
    means = [np.array([_with_draws(task, name, seeds).mean(axis=0) for name in systems]) for task in used]
    ranks = np.mean([stats.rankdata(-of_task, axis=0) for of_task in means], axis=0)
    found = []
    for at, name in enumerate(systems):
        normalised = []
        for task in used:
            floor, height = scales[task.task, references[name]]
            normalised.append((_with_draws(task, name, seeds) - floor) / height)
        iqm = stats.trim_mean(np.concatenate(normalised), 0.25, axis=0)
        # A run for all seeds is compared with those of other systems, of which there must be enough too.
        own = {task: {*task.seeds_of(name)} for task in used}
        fewest = min(task.seeds_behind(name, common if ALL in one else common & one) for task, one in own.items())
        enough, names = fewest >= SEEDS_FOR_INTERVAL, tuple(task.task for task in used)
        of_iqm, of_rank = (
            tuple(np.quantile(v[1:], [tail, 1 - tail]).tolist()) if enough else (None, None) for v in (iqm, ranks[at])
        )
        found.append(Aggregate(name, names, float(iqm[0]), of_iqm, float(ranks[at, 0]), of_rank))
    return found


def _with_draws(task: Crossed, system: str, seeds: Container[str]) -> np.ndarray:
    """The metric of each run with these seeds: observed, and in every draw of examples and seeds, [runs, 1 + draws]."""
    values = {seed: value for seed, value in task.values(system).items() if seed in seeds}
    drawn = [task.drawn(system, seed) for seed in values] + task.sampling.of_mean(values)
    return np.column_stack([list(values.values()), drawn])


def _scale(task: Crossed, reference: str, seeds: set[str]) -> tuple[float, float] | None:
    """The best constant prediction's metric and the reference's lead over it; None if that is not clearly positive."""
    if not seeds & {*task.seeds_of(reference)}:
        return None
    mean, *drawn = _with_draws(task, reference, seeds).mean(axis=0)
    low = np.quantile(drawn, (1 - task.confidence) / 2)
    return (task.floor, float(mean) - task.floor) if low > task.floor else None
