"""Choosing a strength (and a ridge size with it) on the `select` split. Imports no torch."""

import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Point:
    """One candidate: a strength, and the ridge size of its head where the head has one."""

    strength: float
    ridge: float | None = None


@dataclass(frozen=True)
class Choice:
    """The chosen point, its score, and every searched point with its score, in the order tried."""

    chosen: Point
    score: float
    searched: tuple[tuple[Point, float], ...]

    def records(self, metric: str, name: str = "strength") -> list[dict[str, Any]]:
        """Entries of `choices` in build.json: the strength with all points, then the ridge at the chosen strength.

        A strength without an alternative is no choice, so it is left out (heads alone, probes). A score that is not a
        number is written as null.
        """
        ridges = any(point.ridge is not None for point, _ in self.searched)
        curve = [
            {"value": point.strength, **({"ridge": point.ridge} if ridges else {}), "score": _json(score)}
            for point, score in self.searched
        ]
        records = []
        if len({point.strength for point, _ in self.searched}) > 1 or not ridges:
            records.append({"name": name, "metric": metric, "chosen": self.chosen.strength, "searched": curve})
        if ridges:
            at_chosen = [(p.ridge, s) for p, s in self.searched if p.strength == self.chosen.strength]
            curve = [{"value": ridge, "score": _json(score)} for ridge, score in at_chosen]
            records.append({"name": "ridge", "metric": metric, "chosen": self.chosen.ridge, "searched": curve})
        return records


def search(points: Iterable[Point], score: Callable[[Point], float]) -> Choice:
    """Score all points; the best wins, among equals the smallest strength, then the larger ridge.

    A score that is not a number (a correlation with constant predictions) never wins over one that is; where no point
    has a score the same order decides, so that a degenerate system still ends in a run. Without points it
    raises ValueError.
    """
    searched = tuple((point, float(score(point))) for point in points)
    if not searched:
        raise ValueError("nothing to choose from: the list of strengths and ridge sizes is empty; give at least one")

    def preference(entry: tuple[Point, float]) -> tuple[float, float, float, float]:
        point, value = entry
        # The size decides before the sign: of -1 and 2 the former moves the model less.
        value = -math.inf if math.isnan(value) else value
        return (value, -abs(point.strength), -point.strength, point.ridge or 0.0)

    chosen, value = max(searched, key=preference)
    return Choice(chosen, value, searched)


def strength_grid(options: Mapping[str, Any], seed: int) -> tuple[float, ...]:
    """Strengths to try for a method's checked options, in rising order: the list given, or 0 and random ones in [0, 1].

    `trials` counts all of them, 0 included; they depend on `seed` alone.
    """
    if "strengths" in options:
        return tuple(options["strengths"])
    generator = random.Random(seed)
    return (0.0, *sorted(generator.random() for _ in range(options["trials"] - 1)))


def _json(score: float) -> float | None:
    return score if math.isfinite(score) else None
