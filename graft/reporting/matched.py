"""Every merge against its matched rival, the best classical system that costs no more, by scenario: matched.csv."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd

from graft.registry.methods import KINDS
from graft.registry.scenarios import CLASSICAL, INFERENCE, Scenario, is_classical
from graft.reporting.differences import finished_mean, in_family, pair_of
from graft.reporting.search import Parts
from graft.reporting.significance import described
from graft.statistics.crossed import SEEDS_FOR_INTERVAL, Crossed, Difference
from graft.statistics.frontiers import reaching
from graft.statistics.verdicts import DESCRIPTIVE, holm, verdict
from graft.study.grid import ALL_SEEDS, Grid
from graft.study.grid_systems import System

# The merge's own inference FLOPs as the limit of its rival's.
OWN = "own"
COLUMNS = (
    *(
        "scenario",
        "task",
        "system",
        "kind",
        "inference_limit",
        "rival",
        "n_rivals",
        "n_seeds",
        "n_examples",
        "difference",
    ),
    *("seed_sd", "example_sd", "these_low", "these_high", "new_low", "new_high", "margin", "inner_low", "inner_high"),
    *("p_value", "p_holm", "verdict", "seeds_needed", "examples_needed"),
    *("train_flops", "rival_train_flops", "inference_flops", "rival_inference_flops"),
    *("reach_flops", "reach_ratio", "reach_low", "reach_high"),
)


@dataclass(frozen=True)
class Priced:
    """A system with finished runs: its score on `select` and its training FLOPs in a scenario, as means over seeds.

    Without labels, the score is its agreement with the small model, which agrees with itself whatever it costs.
    `doubt`: the standard error of the score with few labels, from the one on `report`; 0 if it sees all labels.
    """

    system: System
    select: float
    train_flops: float
    inference_flops: float
    doubt: float = 0.0

    @property
    def is_classical(self) -> bool:
        return is_classical(self.system.name, self.system.kind)


def priced(runs: pd.DataFrame, task: str, small: str, scenario: Scenario, grid: Grid, parts: Parts) -> list[Priced]:
    """All systems with runs on a task that the scenario admits, and controls of merges.

    runs: the table from `runs.gather`; small: the model whose fine-tuning is given, if the scenario gives one: of each
    run the parts that the fine-tuning with the same seed has are free.
    """
    own = {
        seed: {*found} for (where, name, seed), found in parts.items() if (where, name) == (task, f"finetune.{small}")
    }
    own[ALL_SEEDS] = {part for made in own.values() for part in made}
    costs: dict[str, list[int]] = {}
    for (where, name, seed), made in parts.items():
        if where == task:
            costs.setdefault(name, []).append(scenario.cost(made, own.get(seed, ())))
    found = []
    for name, group in runs[runs["task"] == task].groupby("system", sort=False):
        system, inference = grid.systems[name], finished_mean(group, "inference_flops")
        select = finished_mean(group, "select_value")
        admitted = scenario.admits(name, system.kind, system.label_use, system.labels, small)
        admitted |= system.kind == "control" and system.pair is not None and system.labels == scenario.labels
        if admitted and name in costs and inference is not None:
            if scenario.labels == 0 and system.labels is None:
                select = math.inf
            score, flops = -math.inf if select is None else select, _whole(fmean(costs[name]))
            found.append(Priced(system, score, flops, _whole(inference), _doubt(group, system.labels)))
    return found


def _doubt(group: pd.DataFrame, labels: int | None) -> float:
    """The standard error of the mean score of runs on the half of their few labels by which choices are made."""
    if not labels:
        return 0.0
    error, examples = (finished_mean(group, column) or 0.0 for column in ("stderr", "n"))
    return error * math.sqrt(examples / (labels // 2 * (group["state"] == "done").sum()))


def rivals_of(merge: Priced, systems: Iterable[Priced], limit: float) -> list[Priced]:
    """The classical systems that cost no more to train, nor more than `limit` to run; the best on `select` is first.

    Of equally good ones the cheapest is first; one that knows labels alone is last.
    """
    able = [one for one in systems if one.is_classical and one.train_flops <= merge.train_flops]
    able = [one for one in able if one.inference_flops <= limit]
    return sorted(able, key=lambda one: (one.system.name == CLASSICAL[-1], -one.select, one.train_flops))


def best_of(systems: Iterable[Priced], given: str = "") -> Priced | None:
    """The system that is best on `select`, the first of several.

    With few labels it is `given`, the fine-tuned small model, which costs nothing and was chosen by more rows, unless
    another is ahead of it by more than two standard errors: of many systems, one is ahead on few rows by chance.
    """
    known = [*systems]
    best = max(known, key=lambda one: one.select, default=None)
    safe = next((one for one in known if one.system.name == given), None)
    return safe if best and safe and best.doubt and best.select - safe.select <= 2 * best.doubt else best


def matched(runs: pd.DataFrame, grid: Grid, tasks: Mapping[str, Crossed], parts: Parts) -> pd.DataFrame:
    """One row with COLUMNS per scenario, task, merge or control, and limit on inference.

    runs: from `runs.gather`; tasks: from `predictions.crossed`; parts: from `runs.parts`. `inference_limit`: `own` has
    a row for every merge and control, whose rival costs no more to run than itself; `small`, `large` and `any` one for
    the merge that is best on `select` of those that cost no more to run than that model of its pair, whose rival costs
    no more to run than that either. No rival costs more to train, in the scenario's own accounting, `train_flops`.
    Differences are as in significance.csv. `p_holm`: p values corrected for the `n_rivals` of which the rival was
    chosen (see `_judged`), then by Holm over all tests of merges in a scenario; verdicts are
    given to the primary family. `reach_flops`: the training FLOPs at which the classical systems of the large model
    alone have the merge's mean on `report`, and `reach_ratio` those as a multiple of the merge's; empty if they never
    do, and the ratio also if the merge costs nothing. An upper end that is empty is infinite.

    Without labels no rival can be chosen: a merge meets the one that is best on `report`, which it is harder to be
    better than.
    """
    found: list[dict[str, Any]] = []
    for name, scenario in grid.scenarios().items():
        rows: list[tuple[dict[str, Any], Difference | None]] = []
        for task, sample in tasks.items():
            prices = {pair.small: priced(runs, task, pair.small, scenario, grid, parts) for pair in grid.pairs}
            for merge, limit, most in _asked(prices, grid):
                systems = prices[pair_of(merge.system, grid).small]
                rivals = rivals_of(merge, systems, most)
                if scenario.labels == 0:
                    rivals.sort(key=lambda one: -_mean(sample, one))  # noqa: B023 - used at once
                rival = rivals[0] if rivals else None
                difference = sample.of_difference(merge.system.name, rival.system.name) if rival else None
                row = {"scenario": name, "task": task, "inference_limit": limit, "n_rivals": len(rivals)}
                row |= _costs(merge, rival)
                row |= described(difference, grid.study.margin(task), sample) if difference else {}
                reach = _reach(merge, systems, grid, sample) if merge.system.kind in KINDS else {}
                rows.append((row | reach, difference))
        found += _judged(rows, grid)
    table = pd.DataFrame(found, columns=list(COLUMNS), dtype=object)
    return table.where(table.notna(), None)


def _asked(prices: Mapping[str, list[Priced]], grid: Grid) -> list[tuple[Priced, str, float]]:
    """List each merge or control that is held against a rival on a task, with a limit on inference: name and FLOPs."""
    own: list[tuple[Priced, str, float]] = []
    limited: dict[str, list[tuple[Priced, str, float]]] = {name: [] for name in INFERENCE}
    for pair in grid.pairs:
        of_pair = prices[pair.small]
        tuned = [one for one in of_pair if one.system.kind == "finetune" and one.system.program != "ensemble"]
        inference = {one.system.model: one.inference_flops for one in reversed(tuned)}
        most = {"small": inference.get(pair.small), "large": inference.get(pair.large)}
        for one in of_pair:
            if one.is_classical or one.system.pair != pair:
                continue
            own.append((one, OWN, one.inference_flops))
            for name, flops in (most | {"any": math.inf}).items():
                if one.system.kind in KINDS and flops is not None and one.inference_flops <= flops:
                    limited[name].append((one, name, flops))
    return own + [max(some, key=lambda asked: asked[0].select) for some in limited.values() if some]


def _costs(merge: Priced, rival: Priced | None) -> dict[str, Any]:
    found: dict[str, Any] = {"system": merge.system.name, "kind": merge.system.kind}
    found |= {"train_flops": merge.train_flops, "inference_flops": merge.inference_flops}
    if rival:
        found |= {"rival": rival.system.name, "rival_train_flops": rival.train_flops}
        found["rival_inference_flops"] = rival.inference_flops
    return found


def _judged(rows: Sequence[tuple[dict[str, Any], Difference | None]], grid: Grid) -> list[dict[str, Any]]:
    """Add p values corrected over the tests of a scenario, each once, and verdicts.

    The best of several rivals on `select` had luck with its seeds, which helps it on `report` too. So to be worse than
    it is corrected for their number (Bonferroni); to be better than it is only harder. Where few
    rows of `select` make a weak system the rival, to be better is shown of that one, not of all that cost no more.
    """
    family: dict[tuple[Any, ...], float] = {}
    for row, difference in rows:
        if difference and difference.p_value is not None and row["kind"] in KINDS:
            if in_family(grid.systems[row["system"]], grid):
                key, number = (
                    (row["task"], row["system"], row["rival"]),
                    1 if difference.typical > 0 else row["n_rivals"],
                )
                family[key] = max(family.get(key, 0.0), min(1.0, number * difference.p_value))
    corrected, judged = dict(zip(family, holm([*family.values()]), strict=True)), []
    for row, difference in rows:
        p_holm = corrected.get((row["task"], row["system"], row.get("rival")))
        said = DESCRIPTIVE if difference and difference.p_value is not None else None
        if difference and p_holm is not None:
            said = verdict(difference, p_holm, row["margin"], grid.study.statistics.confidence)
        judged.append(row | {"p_holm": p_holm, "verdict": said})
    return judged


def _reach(merge: Priced, systems: Iterable[Priced], grid: Grid, task: Crossed) -> dict[str, float | None]:
    """The training FLOPs at which the large model alone reaches a merge's mean, with the ratio's interval."""
    large = pair_of(merge.system, grid).large
    alone = [one for one in systems if one.is_classical and one.system.model == large and not one.system.pair]
    alone = sorted((one for one in alone if one.system.program != "ensemble"), key=lambda one: one.train_flops)
    names = [one.system.name for one in [*alone, merge]]
    means = np.array([[_mean(task, one)] for one in [*alone, merge]])
    costs = np.array([one.train_flops for one in alone])
    found: dict[str, float | None] = {}
    if not alone:
        return found
    (flops,) = reaching(costs, means[:-1], means[-1])
    found["reach_flops"] = _finite(flops)
    if merge.train_flops:
        found["reach_ratio"] = _finite(flops / merge.train_flops)
        if min(task.seeds_behind(name, task.values(name)) for name in names) >= SEEDS_FOR_INTERVAL:
            drawn = np.array([task.drawn_mean(name) for name in names])
            tail = (1 - task.confidence) / 2
            # Ends are draws, since some may be infinite.
            ends = np.quantile(reaching(costs, drawn[:-1], drawn[-1]), [tail, 1 - tail], method="inverted_cdf")
            found |= dict(zip(("reach_low", "reach_high"), map(_finite, ends / merge.train_flops), strict=True))
    return found


def _mean(task: Crossed, system: Priced) -> float:
    return fmean(task.values(system.system.name).values())


def _whole(value: float) -> float:
    return int(value) if value.is_integer() else value


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
