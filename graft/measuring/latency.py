"""How long systems take to answer: one text at a time, and in batches; measured in turn, one system in memory.

Times are from token ids in memory to logits in memory, copies to and from a GPU included; a tokenizer takes as long for
every system.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from graft.compute.energy import Meter
from graft.encoders.batches import inference_batches
from graft.encoders.inference import Batch
from graft.io.progress import Report
from graft.tasks.tokens import TokenisedSplit

# A visit's batches are answered again until so much time has passed, where energy is read: NVML's counter moves ten
# times a second.
METER_SECONDS = 1.0
Answer = Callable[[Batch], Tensor]


@dataclass(frozen=True)
class Texts:
    """The same texts one by one at their own lengths, and in batches of like length, longest first."""

    singles: Sequence[Batch]
    batches: Sequence[Batch]

    @classmethod
    def of(cls, tokens: TokenisedSplit, max_tokens: int, rows: np.ndarray, batch_size: int) -> Texts:
        """Those of some rows [n] of a split."""
        batches = inference_batches(tokens.lengths(max_tokens)[rows], batch_size)
        return cls(
            [tokens.batch(row[None], max_tokens) for row in rows],
            [tokens.batch(rows[positions], max_tokens) for positions in batches],
        )


@dataclass(frozen=True)
class Subject:
    """A system to be measured: how it is loaded, and the texts as it reads them."""

    load: Callable[[], Answer]
    texts: Texts


@dataclass
class Timing:
    """Seconds of single answers; examples per second of every round; joules of so many examples, where metered."""

    singles: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    joules: float | None = None
    examples: int = 0

    def quantile(self, share: float) -> float:
        """Seconds that such a share of the single answers took no longer than."""
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
    """Time all subjects in so many rounds; each round visits every one, in turn forwards and backwards.

    A visit loads the subject, answers all texts once for nothing (memory is touched, kernels are chosen), then times.
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
