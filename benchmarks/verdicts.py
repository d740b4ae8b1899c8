"""Is a verdict right as often as it says? Simulated studies whose truth is known, and how long the statistics take.

    python -m benchmarks.verdicts

A study has tasks of GLUE's sizes, a reference and systems, seeds, and examples that are hard or easy for all of them.
Runs may fail: they then predict one class. What is printed: how often a study whose typical runs are equal has a false
verdict, also on merges against a rival chosen on `select`, how often intervals hold the truth (of the usual percentile
bootstrap over seeds beside ours), what a verdict is where means and typical runs disagree, how often a difference of
one margin counts as equivalent, how often one of one or two points is found, and the time for 30 systems x 20 seeds x 3
tasks x 10,000 draws.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from graft.statistics.crossed import Crossed
from graft.statistics.sampling import Sampling
from graft.statistics.typical import cut
from graft.statistics.verdicts import holm, verdict

# Rows of the published dev splits of two tasks; a task with scores, and one of few rows.
EXAMPLES = {"sst2": 872, "rte": 277, "scores": 400, "few": 60}
MARGINS = {"sst2": 0.01, "rte": 0.03, "scores": 0.01, "few": 0.03}
WORDS, REPORTED = ("better", "worse", "equivalent", "inconclusive"), "a failed run is reported"
METRIC = {"sst2": "accuracy", "rte": "accuracy", "scores": "correlation", "few": "accuracy"}


@dataclass(frozen=True)
class World:
    """How systems, seeds and examples come together.

    A system's answer is what it knows, moved by the seed (of the reference by `own_seed`, if given), by the example
    (`shared` by all systems, `own` to one) and by both together (`noise`), all normal with these standard deviations.
    skewed: seeds have a long tail of bad ones instead (exponential). ability: how far answers lie above chance; 1.8 is
    an accuracy of 0.92, or a correlation of about 0.8. failing: share of the reference's runs, and of the others', that
    fail.
    """

    seed: float = 0.1
    shared: float = 1.0
    own: float = 0.5
    noise: float = 0.5
    ability: float = 1.8
    own_seed: float | None = None
    skewed: bool = False
    failing: tuple[float, float] = (0.0, 0.0)

    @property
    def rest(self) -> float:
        """Standard deviation of an answer of one run."""
        return float(np.sqrt(self.shared**2 + self.own**2 + self.noise**2))

    def moved(self, systems: int, seeds: int, rng: np.random.Generator) -> np.ndarray:
        """How far each run's answers are moved, [systems, seeds]."""
        scale = np.full((systems, 1), self.seed, float)
        scale[0] = self.seed if self.own_seed is None else self.own_seed
        moved = scale * rng.normal(size=(systems, seeds))
        if self.skewed:  # of the systems, not of the reference
            moved[1:] = scale[1:] * (1 - rng.exponential(size=(systems - 1, seeds)))
        return moved

    def fails(self, systems: int, seeds: int, rng: np.random.Generator) -> np.ndarray:
        """Which runs fail, [systems, seeds]."""
        rates = np.full((systems, 1), self.failing[1], float)
        rates[0] = self.failing[0]
        return rng.random((systems, seeds)) < rates

    def classes(self, effects: np.ndarray, seeds: int, n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Labels [n], and class ids [systems, seeds, n]."""
        moved = (effects[:, None] + self.moved(len(effects), seeds, rng))[..., None]
        labels = rng.integers(0, 2, n)
        told = np.where(self.ability + moved + self._errors(len(effects), seeds, n, rng) > 0, labels, 1 - labels)
        told[self.fails(len(effects), seeds, rng)] = 1
        return labels, told

    def scores(self, effects: np.ndarray, seeds: int, n: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """The same for scores: labels are uniform."""
        labels = rng.uniform(-np.sqrt(3), np.sqrt(3), n)
        slopes = self.ability + (effects[:, None] + self.moved(len(effects), seeds, rng))[..., None]
        told = slopes * labels + self._errors(len(effects), seeds, n, rng)
        told[self.fails(len(effects), seeds, rng)] = 0
        return labels, told

    def _errors(self, systems: int, seeds: int, n: int, rng: np.random.Generator) -> np.ndarray:
        return (
            rng.normal(0, self.shared, n)
            + rng.normal(0, self.own, (systems, 1, n))
            + rng.normal(0, self.noise, (systems, seeds, n))
        )

    def accuracies(self, effects: np.ndarray, seeds: int, rng: np.random.Generator) -> np.ndarray:
        """True accuracies of runs on endless examples, [systems, seeds]."""
        moved = effects[:, None] + self.moved(len(effects), seeds, rng)
        known = stats.norm.cdf((self.ability + moved) / self.rest)
        return np.where(self.fails(len(effects), seeds, rng), 0.5, known)

    @functools.cache  # noqa: B019
    def truth(self, effect: float, seeds: int) -> tuple[float, float]:
        """The true difference in accuracy to the reference: of typical runs among so many seeds, and of means."""
        reference, system = self.accuracies(np.array([0.0, effect]), 400_000, np.random.default_rng(5))
        return float(stats.trim_mean(system - reference, cut(seeds) / seeds)), float(np.mean(system - reference))

    @functools.cache  # noqa: B019
    def effect(self, difference: float, seeds: int, mean: bool = False) -> float:
        """The effect with this true difference in accuracy: of typical runs, or of means."""
        return float(optimize.brentq(lambda e: self.truth(e, seeds)[mean] - difference, -1.5, 1.5, xtol=1e-4))


# The worlds of studies without an effect: name, world, tasks, systems. In the last two, seeds that differ more or
# otherwise than the reference's change the typical accuracy too; an effect makes up for it.
USUAL, SMALL = ("sst2", "rte"), ("rte",)
CASES: dict[str, tuple[World, tuple[str, ...], int]] = {
    "seeds differ a little": (World(), USUAL, 10),
    "seeds differ much": (World(seed=0.4), USUAL, 10),
    "seeds all alike": (World(seed=0.0), USUAL, 10),
    "the reference fails in 10%": (World(failing=(0.1, 0)), USUAL, 10),
    "the reference fails in 10%, seeds differ much": (World(seed=0.4, failing=(0.1, 0)), USUAL, 10),
    "the reference fails in 1 of 12": (World(failing=(1 / 12, 0)), USUAL, 10),
    "all systems fail in 5%": (World(failing=(0, 0.05)), USUAL, 10),
    "all systems fail in 5%, seeds differ much": (World(seed=0.4, failing=(0, 0.05)), USUAL, 10),
    "all systems fail in 10%, seeds differ much": (World(seed=0.4, failing=(0, 0.1)), USUAL, 10),
    "reference and systems fail in 10%": (World(failing=(0.1, 0.1)), USUAL, 10),
    "nearly all predictions alike": (World(seed=0.02, own=0.05, noise=0.05), USUAL, 10),
    "60 examples": (World(), ("few",), 10),
    "60 examples, nearly all predictions alike": (World(seed=0.0, own=0.1, noise=0.02), ("few",), 10),
    "correlations": (World(), ("scores",), 10),
    "correlations, the reference fails in 10%": (World(failing=(0.1, 0)), ("scores",), 10),
    "systems' seeds differ much, the reference's little": (World(seed=0.4, own_seed=0.05), SMALL, 10),
    "systems' seeds have a tail of bad ones": (World(seed=0.3, skewed=True), SMALL, 10),
}
# Worlds of which a fifth or more of the runs fail, so that the typical difference is one of failures too.
MIXED = {f"systems fail in {rate:.0%}": (World(failing=(0, rate)), USUAL, 1) for rate in (0.25, 0.5)}
UNEVEN = [*CASES][-2:]


@functools.cache
def sampling(task: str, seeds: int, draws: int) -> Sampling:
    """The draws of a task, which are the same in every study."""
    return Sampling(task, EXAMPLES[task], [str(k) for k in range(seeds)], draws)


def study(world: World, task: str, effects: np.ndarray, seeds: int, draws: int, rng: np.random.Generator) -> Crossed:
    """One task of a simulated study; system 0 is the reference. effects: [systems]."""
    make = world.scores if METRIC[task] == "correlation" else world.classes
    labels, told = make(effects, seeds, EXAMPLES[task], rng)
    predictions = {str(s): {str(k): told[s, k] for k in range(seeds)} for s in range(len(effects))}
    made = Crossed(task, METRIC[task], labels, predictions, draws)
    made.sampling = sampling(task, seeds, draws)
    return made


def verdicts(tasks: list[Crossed], systems: int) -> dict[tuple[str, int], str]:
    """The verdict of every system but the reference on every task, as in comparison.csv."""
    found = {(t.task, s): t.of_difference(str(s), "0") for t in tasks for s in range(1, systems)}
    corrected = holm([difference.p_value for difference in found.values()])
    return {
        key: verdict(difference, p, MARGINS[key[0]], 0.95)
        for (key, difference), p in zip(found.items(), corrected, strict=True)
    }


def false_verdicts(
    studies: int, world: World, tasks: tuple[str, ...], systems: int, seeds: int, effect: float = 0.0
) -> float:
    """Share of studies whose typical runs are equal in which any verdict is better or worse."""
    rng, wrong = np.random.default_rng(0), 0
    effects = np.array([0.0] + [effect] * systems)
    for _ in range(studies):
        made = [study(world, task, effects, seeds, 1, rng) for task in tasks]
        wrong += any(told in ("better", "worse") for told in verdicts(made, systems + 1).values())
    return wrong / studies


def matched(
    studies: int, world: World, effect: float, seeds: int, held_out: int = 700, rivals: int = 10, merges: int = 5
) -> dict[str, float]:
    """Share of studies in which any merge is better, or worse, than the rival best on `select`, as in matched.csv.

    Merges differ from all rivals by an effect. `select` has `held_out` other examples, of the same runs: a rival is
    chosen for its luck with seeds, too.
    """
    rng, found = np.random.default_rng(3), {"better": 0, "worse": 0}
    effects, task = np.array([0.0] * rivals + [effect] * merges), "sst2"
    for _ in range(studies):
        labels, told = world.classes(effects, seeds, EXAMPLES[task] + held_out, rng)
        on_select = (told[:rivals, :, :held_out] == labels[:held_out]).mean(axis=(1, 2))
        chosen, names = int(on_select.argmax()), range(rivals, len(effects))
        predictions = {str(s): {str(k): told[s, k, held_out:] for k in range(seeds)} for s in (chosen, *names)}
        made = Crossed(task, METRIC[task], labels[held_out:], predictions, 1)
        made.sampling = sampling(task, seeds, 1)
        differences = [made.of_difference(str(name), str(chosen)) for name in names]
        numbers = [1 if difference.typical > 0 else rivals for difference in differences]
        corrected = holm([min(1.0, k * d.p_value) for k, d in zip(numbers, differences, strict=True)])
        words = {verdict(d, p, MARGINS[task], 0.95) for d, p in zip(differences, corrected, strict=True)}
        found = {word: count + (word in words) for word, count in found.items()}
    return {word: count / studies for word, count in found.items()}


def coverage(studies: int, draws: int, world: World, task: str, seeds: int, truth: float = 0.0) -> dict[str, float]:
    """Share of studies whose 95% interval holds the truth: of a difference, of a mean, and of plain resampling."""
    rng, held = np.random.default_rng(1), dict.fromkeys(("difference", "mean", "plain"), 0)
    mean = _mean(world, task)
    for _ in range(studies):
        made = study(world, task, np.zeros(2), seeds, draws, rng)
        difference, of_mean = made.of_difference("1", "0").new, made.of_mean("0").new
        held["difference"] += difference[0] <= truth <= difference[1]
        held["mean"] += of_mean[0] <= mean <= of_mean[1]
        low, high = plain_bootstrap(list(made.values("0").values()), draws, rng)
        held["plain"] += low <= mean <= high
    return {name: count / studies for name, count in held.items()}


def plain_bootstrap(values: list[float], draws: int, rng: np.random.Generator) -> tuple[float, float]:
    """The usual percentile interval: values by seed resampled, the examples taken for all there are."""
    means = rng.choice(values, (draws, len(values))).mean(axis=1)
    return tuple(np.quantile(means, [0.025, 0.975]))


def told(studies: int, world: World, task: str, effect: float, seeds: int) -> dict[str, float]:
    """How often which verdict is given to one system with this effect, and how often a run of the reference fails."""
    rng, found = np.random.default_rng(2), Counter()
    for _ in range(studies):
        made = study(world, task, np.array([0.0, effect]), seeds, 1, rng)
        found.update(verdicts([made], 2).values())
        found[REPORTED] += made.failed("0") > 0
    return {word: found[word] / studies for word in (*WORDS, REPORTED)}


def _mean(world: World, task: str) -> float:
    """The reference's expected metric of one seed on endless examples."""
    if METRIC[task] == "accuracy":
        return float(world.accuracies(np.zeros(2), 400_000, np.random.default_rng(6))[0].mean())
    from graft.tasks.scores import values

    # What a seed does to a slope is integrated: the mean over some drawn seeds would be off by as much as an interval.
    rng, (nodes, weights) = np.random.default_rng(3), np.polynomial.hermite_e.hermegauss(15)
    labels = rng.uniform(-np.sqrt(3), np.sqrt(3), 1_000_000)
    errors = rng.normal(0, world.rest, len(labels))
    told = ((world.ability + world.seed * node) * labels + errors for node in nodes)
    found = [values(answers, labels, ["correlation"], "score")["correlation"] for answers in told]
    return float((1 - world.failing[0]) * np.average(found, weights=weights))


def seconds(metric: str, examples: int, systems: int = 30, seeds: int = 20, tasks: int = 3) -> float:
    """Time of all that comparison.csv asks for: means, and differences to three others, of every system."""
    rng, total = np.random.default_rng(4), 0.0
    for index in range(tasks):
        if metric == "accuracy":
            labels, told = World().classes(np.zeros(systems), seeds, examples, rng)
        else:
            labels, told = World().scores(np.zeros(systems), seeds, examples, rng)
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


def _timed(what: str, measure: Callable[..., object], *given: object) -> None:
    start = time.perf_counter()
    print(f"{what}: {measure(*given)} ({time.perf_counter() - start:.0f} s)", flush=True)


def _print_false(n: int) -> None:
    for name, (world, tasks, systems) in CASES.items():
        effect = world.effect(0.0, 12) if name in UNEVEN else 0.0
        _timed(
            f"false verdicts, {name}: {systems} systems x {' and '.join(tasks)}, 12 seeds",
            false_verdicts,
            n,
            world,
            tasks,
            systems,
            12,
            effect,
        )


def _print_matched(n: int) -> None:
    for name in ("seeds differ a little", "seeds differ much", "seeds all alike"):
        world, *_ = CASES[name]
        for points, seeds, held_out in [(0, 12, 700), (0, 12, 16), *itertools.product((1, 2), (12, 20), (700,))]:
            effect = world.effect(points / 100, seeds) if points else 0.0
            what = f"5 merges {points} points above the best on {held_out} rows of 10 rivals, {name}, {seeds} seeds"
            _timed(what, matched, n, world, effect, seeds, held_out)


def _print_coverage(n: int, draws: int) -> None:
    for name, (world, tasks, _) in (CASES | MIXED).items():
        for seeds in (5, 12, 20) if name in ("seeds differ much", "the reference fails in 10%") else (12,):
            task = tasks[-1]
            truth = 0.0 if task == "scores" else world.truth(0.0, seeds)[0]
            _timed(
                f"coverage, {name}: {task}, {seeds} seeds, true typical difference {truth:+.4f}",
                coverage,
                n,
                draws,
                world,
                task,
                seeds,
                truth,
            )


def _print_failing(n: int) -> None:
    world = World(failing=(0.1, 0.0))
    for what, mean in (("typical runs are equal", False), ("means are equal", True)):
        effect = world.effect(0.0, 12, True) if mean else 0.0
        typical, of_mean = world.truth(effect, 12)
        truth = f"typical {typical:+.4f}, mean {of_mean:+.4f}"
        for task in USUAL:
            _timed(
                f"the reference fails in 10%, {what} (true difference: {truth}), {task}, 12 seeds",
                told,
                n,
                world,
                task,
                effect,
                12,
            )


def _print_equivalence(n: int) -> None:
    for name, world in (("seeds differ a little", World()), ("the reference fails in 10%", World(failing=(0.1, 0)))):
        for task in USUAL:
            effect = world.effect(-MARGINS[task], 12)
            _timed(
                f"equivalent at a true difference of one margin, {name}, {task}, 12 seeds",
                told,
                n,
                world,
                task,
                effect,
                12,
            )


def _print_power(n: int) -> None:
    for seed in (0.05, 0.1, 0.2):
        world = World(seed=seed)
        for points in (1, 2):
            for seeds in (12, 20):
                effect = world.effect(points / 100, seeds)
                found = {task: told(n, world, task, effect, seeds)["better"] for task in USUAL}
                spread = 100 * float(np.std(world.accuracies(np.zeros(2), 100_000, np.random.default_rng(7))[0]))
                print(f"power, {points} points, {seeds} seeds with a spread of {spread:.1f}: {found}", flush=True)


def _print_time() -> None:
    for metric, examples in (("accuracy", 872), ("correlation", 1500)):
        print(
            f"30 systems x 20 seeds x 3 tasks x 10,000 draws, {metric}: {seconds(metric, examples):.1f} s", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, help="by default 400, and 1000 with chosen rivals")
    parser.add_argument("--draws", type=int, default=1000, help="of the simulated studies; time is taken with 10,000")
    parts = {"false": _print_false, "matched": _print_matched, "coverage": _print_coverage, "failing": _print_failing}
    parts |= {"equivalence": _print_equivalence, "power": _print_power, "time": _print_time}
    parser.add_argument("--parts", nargs="+", default=[*parts], choices=parts)
    args = parser.parse_args()
    n, chosen = args.studies or 400, args.studies or 1000
    for what, number in (("", n), (", with chosen rivals", chosen)):
        error = 100 * np.sqrt(0.05 * 0.95 / number)
        print(f"{number} studies, {args.draws} draws{what}; one standard error at 5% is {error:.1f} points")
    given = {"coverage": (n, args.draws), "time": (), "matched": (chosen,)}
    for part in args.parts:
        parts[part](*given.get(part, (n,)))


if __name__ == "__main__":
    main()
