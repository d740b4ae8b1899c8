"""Means and differences of systems on one task, with uncertainty from two crossed factors: seeds and examples.

A mean is that of all runs; a difference is that of typical runs, since a rare failed run would decide a mean (see
`typical`). Failed runs are counted beside it.

Each bootstrap draw of a mean takes one sample of examples for all systems and seeds, and shifts the mean over seeds by
its standard error times a Student t. The two factors are crossed, as in Owen 2007, The Pigeonhole Bootstrap (Annals of
Applied Statistics 1, 386), which would resample the seeds too. Resampling examples within each seed, as if every seed
had different examples, gives 95% intervals that cover only 85%. A difference's interval and p value are those of the
same two errors, computed instead of drawn (see `tails`).
"""

from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from graft.statistics import typical
from graft.statistics.orders import Order, order
from graft.statistics.sampling import Sampling
from graft.statistics.tails import beyond, half_width
from graft.statistics.weighted import metric_under

# The fewest seeds for an interval: of fewer, each is worth seeing, and Student's t is wide beyond sense.
SEEDS_FOR_INTERVAL = 5
# The fewest seeds for a p value, and so for a verdict: of 12, two failed runs are left out on either side.
SEEDS_FOR_TEST = 12
# The name of the single run of a system trained without a seed; it stands for every seed.
ALL = "all"
# Ranges of metrics, to which intervals are clipped; all others are from 0 to 1.
_RANGES = {"correlation": (-1, 1), "pearson": (-1, 1), "spearman": (-1, 1), "matthews_correlation": (-1, 1)}

Interval = tuple[float, float] | None


@dataclass(frozen=True)
class Estimate:
    """A system's metric over its runs: the `mean`, and the `typical` one (see `typical`).

    `new`: the mean's interval for new seeds and new examples; None for fewer than SEEDS_FOR_INTERVAL seeds. That of a
    run that stands for all seeds is for new examples alone, and None on a task with fewer seeds, where it would have
    nothing to be compared with. `sd`: standard deviation over seeds, None for one run. `failed`: how many runs are no
    better than the best constant prediction; `failed_high`: the highest rate of such runs that this leaves possible
    (Clopper and Pearson 1934: 1 - 0.05 ** (1 / n) if none has failed).
    """

    mean: float
    typical: float
    sd: float | None
    n_seeds: int
    new: Interval
    failed: int
    failed_high: float


@dataclass(frozen=True)
class Difference:
    """The typical difference of two systems, paired by seed and example.

    `these`, `new`: its interval for new seeds alone, and for new seeds and new examples; `inner`: the latter as two
    one-sided equivalence tests use it (90% if the others have 95%). `p_value`: of no difference, for new seeds and
    examples. Intervals take SEEDS_FOR_INTERVAL seeds, p values SEEDS_FOR_TEST, and neither is given for two runs that
    stand for all, or where a single draw of a random training does. `sd`: standard deviation over seeds.
    `seed_variance`, `example_variance`: variances of a single seed's difference (as the typical one's error has it) and
    of a single example's contribution to all seeds alike.
    """

    typical: float
    sd: float | None
    n_seeds: int
    new: Interval
    these: Interval
    inner: Interval
    p_value: float | None
    seed_variance: float
    example_variance: float


class Crossed:
    """The predictions of all systems on one task.

    task: its name, which seeds the draws. metric: a name in `registry.tasks.METRICS`. labels: [n].
    predictions: {system: {seed or "all": class ids or scores, [n]}}, seeds as text. confidence in (0, 1).
    single_draws: systems whose run `all` is one draw of a random training; how other draws differ is not known.
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
        single_draws: Container[str] = (),
    ) -> None:
        self.task, self.metric, self.labels, self.confidence = task, metric, labels, confidence
        self.single_draws = single_draws
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

    def failed(self, system: str) -> int:
        """How many runs are no better than the best constant prediction; one that predicts a constant never is."""
        return sum(value <= self.floor + 1e-9 for value in self.values(system).values())

    def drawn(self, system: str, seed: str) -> np.ndarray:
        """The metric of one run in each draw of examples, [draws]."""
        return self._under_draws[self._at[system, seed]]

    def drawn_mean(self, system: str) -> np.ndarray:
        """The mean over the system's runs in each draw of examples and seeds, [draws]."""
        values = self.values(system)
        return np.mean([self.drawn(system, seed) for seed in values], axis=0) + self.sampling.of_mean(values)

    def of_mean(self, system: str) -> Estimate | None:
        """The mean over the system's runs; None if there are none."""
        values = self.values(system)
        if not values:
            return None
        known, n, new = np.array(list(values.values())), len(values), None
        if self.seeds_behind(system, values) >= SEEDS_FOR_INTERVAL:
            tail = (1 - self.confidence) / 2
            low, high = np.quantile(self.drawn_mean(system), [tail, 1 - tail])
            new = _within(low, high, _RANGES.get(self.metric, (0, 1)))
        failed = self.failed(system)
        return Estimate(
            mean=float(known.mean()),
            typical=float(known[typical.middle(known)].mean()),
            sd=float(known.std(ddof=1)) if n > 1 else None,
            n_seeds=n,
            new=new,
            failed=failed,
            failed_high=_highest_rate(failed, n, self.confidence),
        )

    def of_difference(self, system: str, other: str) -> Difference | None:
        """The typical system - other over their common seeds; None if there are none."""
        pairs = self._pairs(system, other)
        if not pairs:
            return None
        rows, others = (np.array(rows) for rows in zip(*pairs.values(), strict=True))
        values = self._values[rows] - self._values[others]
        kept, n = typical.middle(values), len(values)
        found, by_seed = float(values[kept].mean()), float(np.sum(typical.errors(values) ** 2))
        by_example = _variance(self._influence[rows[kept]] - self._influence[others[kept]])
        errors = by_seed, typical.freedom(n), by_example / len(self.labels)
        enough = min(self.seeds_behind(one, pairs) for one in (system, other))
        low, high = _RANGES.get(self.metric, (0, 1))

        def interval(confidence: float, *errors: float) -> Interval:
            half = half_width(confidence, *errors)
            known = enough >= SEEDS_FOR_INTERVAL
            return _within(found - half, found + half, (low - high, high - low)) if known else None

        return Difference(
            typical=found,
            sd=float(values.std(ddof=1)) if n > 1 else None,
            n_seeds=n,
            new=interval(self.confidence, *errors),
            these=interval(self.confidence, *errors[:2], 0.0),
            inner=interval(2 * self.confidence - 1, *errors),
            p_value=beyond(abs(round(found, 12)), *errors) if min(enough, n) >= SEEDS_FOR_TEST else None,
            seed_variance=n * by_seed,
            example_variance=by_example,
        )

    def of_order(self, system: str, other: str) -> Order | None:
        """Compare the runs of two systems as distributions; None for as few seeds as have no interval."""
        pairs = self._pairs(system, other)
        if min(len(pairs), *(self.seeds_behind(one, pairs) for one in (system, other))) < SEEDS_FOR_INTERVAL:
            return None
        rows, others = (self._values[list(rows)] for rows in zip(*pairs.values(), strict=True))
        return order(rows, others, self.confidence, self.sampling.runs(len(pairs)))

    def seeds_behind(self, system: str, seeds: Collection[str]) -> int:
        """How many seeds tell how far new runs may differ; a run `all` stands for every seed of the task."""
        if ALL in self.seeds_of(system) and system in self.single_draws:
            return 0
        return len(self.sampling.seeds) if ALL in seeds else len(seeds)

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

    def _metric(self, weights: np.ndarray) -> np.ndarray:
        return metric_under(self.metric, np.array(self._predictions), self.labels, weights)

    @cached_property
    def floor(self) -> float:
        """The metric of the best constant prediction."""
        if self.metric in _RANGES:
            return 0.0
        constant = np.repeat(np.unique(self.labels)[:, None], len(self.labels), axis=1)
        return float(metric_under(self.metric, constant, self.labels, np.ones((len(self.labels), 1))).max())

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


def _variance(contributions: np.ndarray) -> float:
    """The variance of what an example does to all seeds alike, of each example's contribution with each seed, [s, n].

    What it does to one seed alone is in the differences between seeds already.
    """
    seeds = len(contributions)
    alone = contributions.var(axis=0, ddof=1).mean() / seeds if seeds > 1 else 0.0
    return max(float(contributions.mean(axis=0).var(ddof=1) - alone), 0.0)


def _highest_rate(failed: int, n: int, confidence: float) -> float:
    """The highest rate of failures that `failed` of `n` leave possible (Clopper and Pearson 1934)."""
    if failed in (0, n):
        return 1.0 if failed else 1 - (1 - confidence) ** (1 / n)
    from scipy import special  # a quarter of a second that evaluations need not wait

    return float(special.betaincinv(failed + 1, n - failed, confidence))


def _within(low: float, high: float, bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = (float(np.clip(end, *bounds)) for end in (low, high))
    return low, high
