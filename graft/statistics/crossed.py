"""Means and differences of systems on one task, with uncertainty from two crossed factors: seeds and examples.

Each bootstrap draw takes one sample of examples for all systems and seeds, and shifts the mean over seeds by its
standard error times a Student t. The two factors are crossed, as in Owen 2007, The Pigeonhole Bootstrap (Annals of
Applied Statistics 1, 386), which would resample the seeds too. Resampling examples within each seed, as if every seed
had different examples, gives 95% intervals that cover only 85%.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from graft.statistics.sampling import Sampling
from graft.statistics.sign_flips import p_value
from graft.statistics.weighted import metric_under

# The fewest seeds for an interval: of fewer, each is worth seeing, and Student's t is wide beyond sense.
SEEDS_FOR_INTERVAL = 5
# The fewest seeds for a p value, and so for a verdict: with 12, sign flips of seeds alone can reach p = 2 / 2**12.
SEEDS_FOR_TEST = 12
# The name of the single run of a system trained without a seed; it stands for every seed.
ALL = "all"
# Ranges of metrics, to which intervals are clipped; all others are from 0 to 1.
_RANGES = {"correlation": (-1, 1), "pearson": (-1, 1), "spearman": (-1, 1), "matthews_correlation": (-1, 1)}

Interval = tuple[float, float] | None


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds. `new`: its interval for new seeds and new examples; `these`: for new seeds alone.

    Intervals are None for fewer than SEEDS_FOR_INTERVAL seeds. That of a run that stands for all seeds is for new
    examples alone, and None on a task with fewer seeds, where it would have nothing to be compared with. `sd`: standard
    deviation over seeds, None for one run.
    """

    mean: float
    sd: float | None
    n_seeds: int
    new: Interval
    these: Interval


@dataclass(frozen=True)
class Difference(Estimate):
    """A mean difference, paired by seed and example.

    `inner`: the interval for new seeds and examples that two one-sided equivalence tests use (90% if the others have
    95%). `p_value`: of no difference, for new seeds and examples; None for fewer than SEEDS_FOR_TEST seeds, or for two
    runs that stand for all. `seed_variance`, `example_variance`: variances of a
    single seed's difference and of a single example's contribution.
    """

    inner: Interval
    p_value: float | None
    seed_variance: float
    example_variance: float


class Crossed:
    """The predictions of all systems on one task.

    task: its name, which seeds the draws. metric: a name in `registry.tasks.METRICS`. labels: [n].
    predictions: {system: {seed or "all": class ids or scores, [n]}}, seeds as text. confidence in (0, 1).
    Raises ValueError if predictions and labels differ in length.
    """

    def __init__(
        self,
        task: str,
        metric: str,
        labels: np.ndarray,
        predictions: Mapping[str, Mapping[str, np.ndarray]],
        draws: int = 10_000,
        confidence: float = 0.95,
    ) -> None:
        self.task, self.metric, self.labels, self.confidence = task, metric, labels, confidence
        self._rows = [(system, seed) for system, by_seed in predictions.items() for seed in by_seed]
        self._at = {key: index for index, key in enumerate(self._rows)}
        for system, seed in self._rows:
            if len(predictions[system][seed]) != len(labels):
                found = f"{len(predictions[system][seed])} predictions for {len(labels)} examples"
                raise ValueError(f"{task} {system} seed {seed}: {found}; evaluate it again")
        self._predictions = [predictions[system][seed] for system, seed in self._rows]
        seeds = sorted({seed for _, seed in self._rows if seed != ALL}, key=lambda seed: (len(seed), seed))
        self.sampling = Sampling(task, len(labels), seeds, draws)

    def seeds_of(self, system: str) -> list[str]:
        return [seed for name, seed in self._rows if name == system]

    def values(self, system: str) -> dict[str, float]:
        """The metric on these examples, by seed."""
        return {seed: float(self._values[self._at[system, seed]]) for seed in self.seeds_of(system)}

    def drawn(self, system: str, seed: str) -> np.ndarray:
        """The metric of one run in each draw of examples, [draws]."""
        return self._under_draws[self._at[system, seed]]

    def of_mean(self, system: str) -> Estimate | None:
        """The mean over the system's runs; None if there are none."""
        values = self.values(system)
        if not values:
            return None
        drawn = np.mean([self.drawn(system, seed) for seed in values], axis=0)
        return self._estimate(values, drawn, _RANGES.get(self.metric, (0, 1)))

    def of_difference(self, system: str, other: str) -> Difference | None:
        """The mean of system - other over their common seeds; None if there are none."""
        pairs = self._pairs(system, other)
        if not pairs:
            return None
        values = {seed: float(self._values[a] - self._values[b]) for seed, (a, b) in pairs.items()}
        rows, others = (np.array(rows) for rows in zip(*pairs.values(), strict=True))
        drawn = (self._under_draws[rows] - self._under_draws[others]).mean(axis=0)
        low, high = _RANGES.get(self.metric, (0, 1))
        found = self._estimate(values, drawn, (low - high, high - low))
        contributions = found.mean + (self._influence[rows] - self._influence[others]).mean(axis=0)
        return Difference(
            **vars(found),
            inner=self._interval(values, drawn, 2 * self.confidence - 1) if found.new else None,
            p_value=p_value(values, contributions, self.sampling) if len(values) >= SEEDS_FOR_TEST else None,
            seed_variance=(found.sd or 0.0) ** 2,
            example_variance=float(np.var(contributions, ddof=1)),
        )

    def _pairs(self, system: str, other: str) -> dict[str, tuple[int, int]]:
        """Row numbers of both systems by seed; the single run `all` is paired with every seed of the other."""
        left, right = self.seeds_of(system), self.seeds_of(other)
        if ALL in right:
            seeds = left
        elif ALL in left:
            seeds = right
        else:
            seeds = [seed for seed in left if seed in right]
        at = self._at
        return {s: (at[system, ALL if ALL in left else s], at[other, ALL if ALL in right else s]) for s in seeds}

    def _estimate(self, values: dict[str, float], drawn: np.ndarray, bounds: tuple[float, float]) -> Estimate:
        known, n = np.array(list(values.values())), len(values)
        mean, sd = float(known.mean()), float(known.std(ddof=1)) if n > 1 else None
        if (len(self.sampling.seeds) if ALL in values else n) < SEEDS_FOR_INTERVAL:
            return Estimate(mean, sd, n, None, None)
        from scipy import stats  # half a second that evaluations need not wait

        half = stats.t.ppf((1 + self.confidence) / 2, n - 1) * sd / np.sqrt(n) if n > 1 else 0.0
        these, new = (mean - half, mean + half), self._interval(values, drawn, self.confidence)
        return Estimate(mean, sd, n, _within(new, bounds), _within(these, bounds))

    def _interval(self, values: dict[str, float], drawn: np.ndarray, confidence: float) -> tuple[float, float]:
        tail = (1 - confidence) / 2
        low, high = np.quantile(drawn + self.sampling.of_mean(values), [tail, 1 - tail])
        return float(low), float(high)

    def _metric(self, weights: np.ndarray) -> np.ndarray:
        return metric_under(self.metric, np.array(self._predictions), self.labels, weights)

    @cached_property
    def _values(self) -> np.ndarray:
        """The metric of each run, [rows]."""
        return self._metric(np.ones((len(self.labels), 1)))[:, 0]

    @cached_property
    def _under_draws(self) -> np.ndarray:
        """The metric of each run in each draw of examples, [rows, draws] float32."""
        return self._metric(self.sampling.weights).astype(np.float32)

    @cached_property
    def _influence(self) -> np.ndarray:
        """Jackknife influence of each example on each run's metric, [rows, n]: (n - 1) times the loss without it.

        For accuracy: whether the example is right, minus the accuracy. Each row's mean is (almost) 0.
        """
        n = len(self.labels)
        without = self._metric(np.ones((n, n), np.float32) - np.eye(n, dtype=np.float32))
        return (n - 1) * (self._values[:, None] - without)


def _within(interval: tuple[float, float], bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = (float(np.clip(end, *bounds)) for end in interval)
    return low, high
