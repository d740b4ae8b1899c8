"""Is a verdict right as often as it says? Simulated studies whose truth is known, and how long the statistics take.

    python -m benchmarks.verdicts

A study has tasks of GLUE's sizes, a reference and systems, seeds, and examples that are hard or easy for all of them.
What is printed: how often a study without any effect has a false verdict, how often intervals hold the truth (of the
usual percentile bootstrap over seeds beside ours), how often an effect of a given size is found, and the time for 30
systems x 20 seeds x 3 tasks x 10,000 draws.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

from graft.statistics.crossed import Crossed
from graft.statistics.verdicts import holm, verdict

# Rows of the published dev splits.
EXAMPLES = {"sst2": 872, "rte": 277, "stsb": 1500}
MARGINS = {"sst2": 0.01, "rte": 0.03, "stsb": 0.01}
PARTS = ("false", "coverage", "power", "time")
METRIC = {"sst2": "accuracy", "rte": "accuracy", "stsb": "correlation"}


@dataclass(frozen=True)
class World:
    """How systems, seeds and examples come together.

    A system's answer is what it knows, moved by the seed, by the example (`shared` by all systems, `own` to one) and
    by both together (`noise`), all normal with these standard deviations. ability: how far answers lie above chance;
    1.2 is an accuracy of about 0.84, or a correlation of about 0.7.
    """

    seed: float = 0.1
    shared: float = 1.0
    own: float = 0.5
    noise: float = 0.5
    ability: float = 1.2

    @property
    def spread(self) -> float:
        return float(np.sqrt(self.seed**2 + self.shared**2 + self.own**2 + self.noise**2))

    def classes(self, effects: np.ndarray, seeds: int, n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Labels [n], class ids [systems, seeds, n], and the true accuracies [systems]."""
        answers = self.ability + effects[:, None, None] * self.spread + self._errors(len(effects), seeds, n, rng)
        labels = rng.integers(0, 2, n)
        truth = stats.norm.cdf(self.ability / self.spread + effects)
        return labels, np.where(answers > 0, labels, 1 - labels), truth

    def scores(self, effects: np.ndarray, seeds: int, n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """The same for scores: labels are uniform; the truth is None, and the same for systems of one effect."""
        labels = rng.uniform(-np.sqrt(3), np.sqrt(3), n)
        slope = rng.normal(0, self.seed, (len(effects), seeds, 1))
        errors = self._errors(len(effects), seeds, n, rng)
        return labels, (self.ability + effects[:, None, None] + slope) * labels + errors, None

    def _errors(self, systems: int, seeds: int, n: int, rng: np.random.Generator) -> np.ndarray:
        return (
            rng.normal(0, self.seed, (systems, seeds, 1))
            + rng.normal(0, self.shared, n)
            + rng.normal(0, self.own, (systems, 1, n))
            + rng.normal(0, self.noise, (systems, seeds, n))
        )


def study(world: World, task: str, effects: np.ndarray, seeds: int, draws: int, rng: np.random.Generator) -> Crossed:
    """One task of a simulated study; system 0 is the reference. effects: [systems], in standard deviations."""
    make = world.scores if METRIC[task] == "correlation" else world.classes
    labels, told, _ = make(effects, seeds, EXAMPLES[task], rng)
    predictions = {str(s): {str(k): told[s, k] for k in range(seeds)} for s in range(len(effects))}
    return Crossed(task, METRIC[task], labels, predictions, draws)


def verdicts(tasks: list[Crossed], systems: int) -> dict[tuple[str, int], str]:
    """The verdict of every system but the reference on every task, as in comparison.csv."""
    found = {(t.task, s): t.of_difference(str(s), "0") for t in tasks for s in range(1, systems)}
    corrected = holm([difference.p_value for difference in found.values()])
    return {
        key: verdict(difference, p, MARGINS[key[0]], 0.95)
        for (key, difference), p in zip(found.items(), corrected, strict=True)
    }


def false_verdicts(studies: int, draws: int, world: World, tasks: tuple[str, ...], systems: int, seeds: int) -> float:
    """Share of studies without an effect in which any verdict is better or worse."""
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(studies):
        made = [study(world, task, np.zeros(systems), seeds, draws, rng) for task in tasks]
        wrong += any(told in ("better", "worse") for told in verdicts(made, systems).values())
    return wrong / studies


def coverage(studies: int, draws: int, world: World, task: str, seeds: int) -> dict[str, float]:
    """Share of studies whose 95% interval holds the truth: of a mean, of a difference, and of plain resampling."""
    rng, held = np.random.default_rng(1), dict.fromkeys(("mean", "difference", "plain"), 0)
    truth = _truth(world, task)
    for _ in range(studies):
        made = study(world, task, np.zeros(2), seeds, draws, rng)
        mean, difference = made.of_mean("0").new, made.of_difference("1", "0").new
        held["mean"] += mean[0] <= truth <= mean[1]
        held["difference"] += difference[0] <= 0 <= difference[1]
        low, high = plain_bootstrap(list(made.values("0").values()), draws, rng)
        held["plain"] += low <= truth <= high
    return {name: count / studies for name, count in held.items()}


def plain_bootstrap(values: list[float], draws: int, rng: np.random.Generator) -> tuple[float, float]:
    """The usual percentile interval: values by seed resampled, the examples taken for all there are."""
    means = rng.choice(values, (draws, len(values))).mean(axis=1)
    return tuple(np.quantile(means, [0.025, 0.975]))


def power(studies: int, draws: int, world: World, effects: dict[str, float], seeds: int) -> dict[str, float]:
    """Per task the share of studies that find `effects` (in standard deviations of the answers): two systems, Holm."""
    rng, found = np.random.default_rng(2), dict.fromkeys(effects, 0)
    for _ in range(studies):
        made = [study(world, task, np.array([0.0, effect]), seeds, draws, rng) for task, effect in effects.items()]
        for (task, _), told in verdicts(made, 2).items():
            found[task] += told == "better"
    return {task: count / studies for task, count in found.items()}


def _truth(world: World, task: str) -> float:
    """The expected metric of one seed on endless examples."""
    if METRIC[task] == "accuracy":
        return float(stats.norm.cdf(world.ability / world.spread))
    from graft.tasks.scores import values

    # What a seed does to a slope is integrated: the mean over some drawn seeds would be off by as much as an interval.
    rng, (nodes, weights) = np.random.default_rng(3), np.polynomial.hermite_e.hermegauss(15)
    labels = rng.uniform(-np.sqrt(3), np.sqrt(3), 1_000_000)
    errors = rng.normal(0, np.hypot(np.hypot(world.shared, world.own), world.noise), len(labels))
    told = ((world.ability + world.seed * node) * labels + errors for node in nodes)
    found = [values(answers, labels, ["correlation"], "score")["correlation"] for answers in told]
    return float(np.average(found, weights=weights))


def seconds(metric: str, examples: int, systems: int = 30, seeds: int = 20, tasks: int = 3) -> float:
    """Time of all that comparison.csv asks for: means, and differences to three others, of every system."""
    rng, total = np.random.default_rng(4), 0.0
    for index in range(tasks):
        if metric == "accuracy":
            labels, told, _ = World().classes(np.zeros(systems), seeds, examples, rng)
        else:
            labels, told, _ = World().scores(np.zeros(systems), seeds, examples, rng)
            labels = np.round(5 * labels) / 5  # STS-B's scores are in fifths
        predictions = {str(s): {str(k): told[s, k] for k in range(seeds)} for s in range(systems)}
        start = time.perf_counter()
        made = Crossed(f"task{index}", metric, labels, predictions, 10_000)
        for s in range(systems):
            made.of_mean(str(s))
            for other in range(3):
                made.of_difference(str(s), str(other))
        total += time.perf_counter() - start
    return total


def _timed(what: str, make: Callable[[], object]) -> None:
    start = time.perf_counter()
    print(f"{what}: {make()} ({time.perf_counter() - start:.0f} s)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=2000, help="of the simulated studies; time is taken with 10,000")
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    args = parser.parse_args()
    n, draws = args.studies, args.draws
    # Ranks in every draw take most of the time.
    few = max(1, n // 5)
    errors = (f"{count} studies {100 * np.sqrt(0.05 * 0.95 / count):.1f} points" for count in (n, few))
    print(f"{n} studies ({few} of stsb), {draws} draws; one standard error at 5%: {', '.join(errors)}")
    worlds = {"usual": World(), "seeds differ much": World(seed=0.4), "seeds alike": World(seed=0.0)}
    for name, world in worlds.items() if "false" in args.parts else ():
        _timed(
            f"false verdicts, {name}, 10 systems x sst2 and rte, 12 seeds",
            lambda world=world: false_verdicts(n, draws, world, ("sst2", "rte"), 11, 12),
        )
    if "false" in args.parts:
        _timed(
            "false verdicts, usual, 4 systems x stsb, 12 seeds",
            lambda: false_verdicts(few, draws, World(), ("stsb",), 5, 12),
        )
    for task in ("rte", "sst2", "stsb") if "coverage" in args.parts else ():
        for seeds in (5, 12, 20):
            _timed(
                f"coverage, {task}, {seeds} seeds",
                lambda task=task, seeds=seeds: coverage(
                    few if task == "stsb" else n, draws, World(seed=0.2), task, seeds
                ),
            )
    for effect in (0.03, 0.1, 0.2) if "power" in args.parts else ():
        _timed(
            f"power, {effect} standard deviations, 12 seeds",
            lambda effect=effect: power(n, draws, World(), {"sst2": effect, "rte": effect}, 12),
        )
    for metric, examples in (("accuracy", 872), ("correlation", 1500)) if "time" in args.parts else ():
        print(
            f"30 systems x 20 seeds x 3 tasks x 10,000 draws, {metric}: {seconds(metric, examples):.1f} s", flush=True
        )


if __name__ == "__main__":
    main()
