"""Measure latency: one text at a time, and in batches; systems run in rotation, one in memory at a time.

Times run from token ids in memory to logits in memory, copies to and from a GPU included. Tokenization is left out: it
takes equally long for every system.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from graft.compute.energy import Meter
from graft.encoders.batches import inference_batches
from graft.encoders.inference import Batch, Split
from graft.io.progress import Report

# If energy is metered, a visit repeats its batches for at least this long: NVML's counter updates ten times a second.
METER_SECONDS = 1.0
Answer = Callable[[Batch], Tensor]


@dataclass(frozen=True)
class Texts:
    """The same texts one by one at their own lengths, and in batches of similar length, longest first."""

    singles: Sequence[Batch]
    batches: Sequence[Batch]

    @classmethod
    def of(cls, tokens: Split, max_tokens: int, rows: np.ndarray, batch_size: int) -> Texts:
        """Make them from rows [n] of a split."""
        batches = inference_batches(tokens.lengths(max_tokens)[rows], batch_size)
        return cls(
            [tokens.batch(row[None], max_tokens) for row in rows],
            [tokens.batch(rows[positions], max_tokens) for positions in batches],
        )


@dataclass(frozen=True)
class Subject:
    """A system to measure: a function that loads it, and the texts in its tokens."""

    load: Callable[[], Answer]
    texts: Texts


@dataclass
class Timing:
    """Seconds of each single text; examples per second of each round; `joules` used by `examples`, if metered."""

    singles: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    joules: float | None = None
    examples: int = 0

    def quantile(self, share: float) -> float:
        """Quantile of the single texts' latency in seconds."""
        return float(np.quantile(self.singles, share))

    @property
    def examples_per_second(self) -> float:
        return float(np.median(self.rates))

    @property
    def joules_per_example(self) -> float | None:
        return None if self.joules is None else self.joules / self.examples


def measure(
    subjects: Mapping[str, Subject],
    rounds: int,
    meter: Meter | None = None,
    report: Report = lambda done, total, text: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Timing]:
    """Time all subjects in `rounds` rounds; each visits every subject, in alternating order.

    A visit loads the subject, runs all texts once as warm-up (touching memory, choosing kernels), then times them.
    """
    timings = {name: Timing() for name in subjects}
    for number in range(rounds):
        order = list(subjects) if number % 2 == 0 else list(subjects)[::-1]
        for place, name in enumerate(order):
            report(number * len(order) + place, rounds * len(order), name)
            _visit(subjects[name], timings[name], meter, clock)
    report(rounds * len(subjects), rounds * len(subjects), "")
    return timings


def _visit(subject: Subject, timing: Timing, meter: Meter | None, clock: Callable[[], float]) -> None:
    answer, texts = subject.load(), subject.texts
    for batch in (*texts.singles, *texts.batches):
        answer(batch).cpu()
    for text in texts.singles:
        started = clock()
        answer(text).cpu()
        timing.singles.append(clock() - started)
    examples, joules, started = 0, meter.joules() if meter else 0.0, clock()
    while not examples or (meter and clock() - started < METER_SECONDS):
        for batch in texts.batches:
            examples += len(answer(batch).cpu())
    timing.rates.append(examples / (clock() - started))
    if meter:
        timing.joules = (timing.joules or 0.0) + meter.joules() - joules
        timing.examples += examples
