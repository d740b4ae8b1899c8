"""Random draws for the intervals of one task, shared by all its systems and seeds."""

import zlib
from collections.abc import Mapping
from functools import cached_property

import numpy as np


class Sampling:
    """Draws over `examples` report examples and training `seeds` (their names), the same in every process.

    They depend on the task's name, the number of examples and the names of all its seeds, but not on the system, so
    that all systems get the same examples and their differences are paired.
    """

    def __init__(self, task: str, examples: int, seeds: list[str], draws: int) -> None:
        self.examples, self.seeds, self.draws = examples, seeds, draws
        self._streams = np.random.SeedSequence(zlib.crc32(task.encode())).spawn(3)

    @cached_property
    def weights(self) -> np.ndarray:
        """Bootstrap counts of each example in each draw of `examples` with replacement, [examples, draws] float32."""
        rng = np.random.default_rng(self._streams[0])
        taken = rng.integers(0, self.examples, (self.draws, self.examples))
        taken += np.arange(self.draws)[:, None] * self.examples
        counts = np.bincount(taken.ravel(), minlength=self.draws * self.examples)
        return np.ascontiguousarray(counts.reshape(self.draws, self.examples).T.astype(np.float32))

    def of_mean(self, values: Mapping[str, float]) -> np.ndarray:
        """Random errors of the mean of `values` over seeds, [draws]: its standard error times a Student t.

        Each draw weights the seeds by the same normal numbers for all systems, so that effects of a seed that two
        systems share cancel in their difference. Resampling a few seeds instead gives intervals that are too short: at
        3 seeds, 95% intervals cover only 75%.
        """
        n = len(values)
        if n < 2:
            return np.zeros(self.draws)
        known = np.array(list(values.values()))
        columns = [self.seeds.index(seed) for seed in values]
        from scipy import stats

        scale = np.sqrt((n - 1) / stats.chi2.ppf(self._shared, n - 1))
        return scale * (self._normal[:, columns] @ (known - known.mean())) / np.sqrt(n * (n - 1))

    @cached_property
    def _normal(self) -> np.ndarray:
        return np.random.default_rng(self._streams[1]).standard_normal((self.draws, len(self.seeds)))

    @cached_property
    def _shared(self) -> np.ndarray:
        """Quantiles of the standard deviation's error in its chi-squared distribution, [draws] in (0, 1)."""
        return np.random.default_rng(self._streams[1].spawn(1)[0]).uniform(size=self.draws)

    def runs(self, n: int, draws: int = 1000) -> np.ndarray:
        """Indices of `n` runs of each of two systems, drawn with replacement, [draws, 2, n]."""
        return np.random.default_rng(self._streams[2]).integers(0, n, (draws, 2, n))
