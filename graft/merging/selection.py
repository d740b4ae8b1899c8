"""Choose a strength (and with it a ridge size) on the `select` split. Does not import torch."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Point:
    """One candidate: a strength, and the ridge size of its head, if any."""

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

        A strength without alternatives (heads alone, probes) is left out, since nothing was chosen. A score that is not
        finite is written as null.
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
    """Score all points and choose the best; ties go to the smallest strength, then the larger ridge.

    NaN scores (a correlation with constant predictions) rank lowest. If all scores are NaN, the tie rule decides, so
    that a degenerate system still completes its run. Raises ValueError if there are no points.
    """
    searched = tuple((point, float(score(point))) for point in points)
    if not searched:
        raise ValueError("nothing to choose from: the list of strengths and ridge sizes is empty; give at least one")

    def preference(entry: tuple[Point, float]) -> tuple[float, float, float, float]:
        point, value = entry
        # The magnitude decides before the sign: -1 changes the model less than 2.
        value = -math.inf if math.isnan(value) else value
        return (value, -abs(point.strength), -point.strength, point.ridge or 0.0)

    chosen, value = max(searched, key=preference)
    return Choice(chosen, value, searched)


def _json(score: float) -> float | None:
    return score if math.isfinite(score) else None
