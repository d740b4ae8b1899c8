"""The classical systems' frontier of metric and cost in each scenario, and the merges beside it, as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from graft.registry.methods import KINDS
from graft.registry.scenarios import CLASSICAL, INFERENCE, named
from graft.reporting import csv_files, formats
from graft.reporting.differences import pair_of
from graft.reporting.figures.source import Source
from graft.reporting.matched import OWN, priced
from graft.statistics.crossed import SEEDS_FOR_INTERVAL, Crossed
from graft.statistics.verdicts import DESCRIPTIVE

COLUMNS = (
    *("task", "scenario", "same_in", "says", "metric", "seeds", "system", "kind", "classical", "role", "limit", "cost"),
    *("mean", "low", "high", "dots", "best", "best_low", "best_high", "difference", "verdict"),
)
BEST_MERGE, RIVAL, BEST_CLASSICAL = "best merge", "its rival", "best classical"
# The most merges, and the most controls, that are named for being ahead of their rivals.
_AHEAD = 3
_LIMITS = {"small": "the small model's cost", "large": "the large model's cost", "any": "any cost"}
Roles = dict[str, list[str]]


def rows(source: Source, cost: str) -> pd.DataFrame:
    """One row with COLUMNS per task, scenario, and system that it admits or control of a merge; the classical ones
    first, by cost.

    cost: `train_flops`, in the scenario's accounting, or `inference_flops`. `best`: the highest mean on report of the
    classical systems up to this cost, with its interval if there are seeds enough. `role`: why a system is named;
    `limit`: that its inference FLOPs are a limit. `difference`, `verdict`: to the matched rival, which costs no more to
    train and to run. `says`: what is to be seen.
    A scenario that looks like an earlier one has no rows, and is in the `same_in` of the earlier one.
    """
    path = source.paths.tables / csv_files.MATCHED
    tests = formats.records(csv_files.read_csv(path)) if path.is_file() else []
    pictures: list[pd.DataFrame] = []
    for task in dict.fromkeys(test["task"] for test in tests if test["kind"] in KINDS):
        of_task: list[pd.DataFrame] = []
        for scenario in source.grid.scenarios(task):
            own = [test for test in tests if (test["task"], test["scenario"]) == (task, scenario)]
            picture = pd.DataFrame(_picture(source, task, scenario, own, cost), columns=list(COLUMNS), dtype=object)
            same = next((one for one in of_task if _alike(one, picture)), None)
            if same is None:
                of_task.append(picture)
            else:
                same["same_in"] = f"{same['same_in'].iloc[0]} {scenario}".strip()
        pictures += of_task
    found = pd.concat(pictures, ignore_index=True) if pictures else pd.DataFrame(columns=list(COLUMNS), dtype=object)
    return found.where(found.notna(), None)


def _picture(source: Source, task: str, scenario: str, tests: Sequence[formats.Row], cost: str) -> list[dict[str, Any]]:
    grid = source.grid
    by_limit = {test["inference_limit"]: test for test in tests if test["inference_limit"] != OWN}
    if not by_limit:
        return []
    own = {test["system"]: test for test in tests if test["inference_limit"] == OWN}
    pair = pair_of(grid.systems[by_limit[INFERENCE[-1]]["system"]], grid)
    prices = {
        one.small: priced(source.every, task, one.small, named(scenario), grid, source.parts) for one in grid.pairs
    }
    classical = sorted((one for one in prices[pair.small] if one.is_classical), key=lambda one: getattr(one, cost))
    others = [one for of in grid.pairs for one in prices[of.small] if not one.is_classical and one.system.pair == of]
    names = [one.system.name for one in classical]
    best = _best(source.classical[task], names) if names else {}
    compared = _compared(source, task, [*names, *(one.system.name for one in others)])
    top = max(names, key=lambda name: compared[name]["mean"], default="")
    training = cost == "train_flops"
    roles, says = _of_training(by_limit, own, top) if training else _of_inference(by_limit)
    limits = {} if training else {f"finetune.{pair.small}": "small", f"finetune.{pair.large}": "large"}
    head: dict[str, Any] = {"task": task, "scenario": scenario, "same_in": "", "says": says}
    head["seeds"] = formats.seeds_of(formats.records(source.comparison))[task]
    found = []
    for one in [*classical, *others]:
        name, known = one.system.name, compared[one.system.name]
        row = {"system": name, "kind": known["kind"], "classical": one.is_classical, "cost": getattr(one, cost)}
        row |= {"role": "; ".join(roles.get(name, ())), "limit": limits.get(name, ""), "metric": known["metric"]}
        row |= {"mean": known["mean"], "low": known["ci_low"], "high": known["ci_high"], "dots": source.dots(known)}
        row |= {key: own[name][key] for key in ("difference", "verdict") if name in own}
        found.append(head | row | best.get(name, {}))
    return found


def _compared(source: Source, task: str, names: Sequence[str]) -> dict[str, formats.Row]:
    """Kind, metric, mean and interval of systems, from the comparison or, if they see few labels, their predictions."""
    rows = {row["system"]: row for row in formats.records(source.comparison) if row["task"] == task}
    for name in names:
        if name not in rows and (mean := source.classical[task].of_mean(name)):
            row = {"task": task, "system": name, "kind": source.grid.systems[name].kind, "mean": mean.mean}
            row |= {"metric": source.grid.row(task).primary_metric}
            rows[name] = row | dict(zip(("ci_low", "ci_high"), mean.new or (None, None), strict=True))
    return rows


def _best(sample: Crossed, names: Sequence[str]) -> dict[str, dict[str, float]]:
    """The highest mean up to each of these systems, which are in ascending order of cost, with its interval.

    Where a system with too few seeds for an interval is the best, it and the dearer ones have none.
    """
    tail = (1 - sample.confidence) / 2
    found: dict[str, dict[str, float]] = {}
    best, drawn, known = -np.inf, np.array(-np.inf), True
    for name in names:
        values = sample.values(name)
        mean = float(np.mean(list(values.values())))
        if sample.seeds_behind(name, values) >= SEEDS_FOR_INTERVAL:
            drawn = np.maximum(drawn, sample.drawn_mean(name))
        elif mean > best:
            known = False
        best = max(best, mean)
        found[name] = {"best": best}
        if known and drawn.ndim:
            ends = np.quantile(drawn, [tail, 1 - tail])
            found[name] |= {"best_low": float(ends[0]), "best_high": float(ends[1])}
    return found


def _of_training(
    by_limit: Mapping[str, formats.Row], own: Mapping[str, formats.Row], best_classical: str
) -> tuple[Roles, str]:
    """Name the best merge, its rival, the best classical system, and what is ahead of its rival; and put it in words.

    A merge is ahead by a verdict, a control by an interval, unless its rival knows labels alone.
    """
    chosen = by_limit[INFERENCE[-1]]
    roles: Roles = {chosen["system"]: [BEST_MERGE]}
    if chosen["rival"]:
        roles.setdefault(chosen["rival"], []).append(RIVAL)
    if best_classical:
        roles.setdefault(best_classical, []).append(BEST_CLASSICAL)
    merges = [test for test in own.values() if test["kind"] in KINDS and test["difference"] is not None]
    controls = [test for test in own.values() if test["kind"] == "control" and test["rival"] != CLASSICAL[-1]]
    ahead = {
        "beats its rival": [test for test in merges if test["verdict"] == "better"],
        "control ahead": [test for test in controls if (test["new_low"] or 0) > 0],
    }
    for role, tests in ahead.items():
        for test in sorted(tests, key=lambda test: -test["difference"])[:_AHEAD]:
            roles.setdefault(test["system"], []).append(role)
    if not merges:
        return roles, "No merge has a classical rival that costs no more"
    if any(_judged(test) for test in merges):
        number, total, verb = len(ahead["beats its rival"]), sum(map(_judged, merges)), ("beats its", "beat their")
        return roles, f"{number or 'None'} of {total} merges {verb[number > 1]} matched rival"
    number = sum(test["difference"] > 0 for test in merges)
    lie = "lies" if number < 2 else "lie"
    return roles, f"{number or 'None'} of {len(merges)} merges {lie} above a matched rival (no verdict)"


def _of_inference(by_limit: Mapping[str, formats.Row]) -> tuple[Roles, str]:
    """Name the best merge within each limit on inference and its rival; and put it in words."""
    limits: dict[tuple[str, str], list[str]] = {}
    said: dict[str, list[str]] = {}
    for limit, test in by_limit.items():
        limits.setdefault((BEST_MERGE, test["system"]), []).append(limit)
        if test["rival"]:
            limits.setdefault((RIVAL, test["rival"]), []).append(limit)
        said.setdefault(_stands(test), []).append(_LIMITS[limit])
    roles: Roles = {}
    for (role, name), within in limits.items():
        several = sum(other == role for other, _ in limits) > 1
        roles.setdefault(name, []).append(f"{role} ({', '.join(within)})" if several else role)
    (first, within), *others = said.items()
    stands = [f"{first} at {' and '.join(within) if others else 'every cost'} to run"]
    stands += [f"{how} at {' and '.join(within)}" for how, within in others]
    lacking = "" if any(map(_judged, by_limit.values())) else " (no verdict)"
    return roles, f"Against its rival the best merge is {', '.join(stands)}{lacking}"


def _judged(test: formats.Row) -> bool:
    return test["verdict"] not in (None, DESCRIPTIVE)


def _stands(test: formats.Row) -> str:
    """How the best merge stands to its rival, in words."""
    if test["difference"] is None:
        return "unmatched"
    if _judged(test):
        return "undecided" if test["verdict"] == "inconclusive" else str(test["verdict"])
    return "above" if test["difference"] > 0 else "below" if test["difference"] < 0 else "level"


def _alike(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two tables look the same when they are drawn."""
    unseen = ["scenario", "same_in", "difference", "verdict"]
    return one.drop(columns=unseen).equals(other.drop(columns=unseen))
