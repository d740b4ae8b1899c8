"""Compare every system of a study with the reference, the small model and the head alone: the source of all tables."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from graft.config.models import Pair
from graft.io.names import matches
from graft.registry.methods import CHANGES, HEADS, KINDS
from graft.statistics.crossed import Crossed, Difference, Estimate
from graft.statistics.verdicts import DESCRIPTIVE, holm, verdict
from graft.study.grid import Grid
from graft.study.grid_systems import ORACLE, System

_OTHER_SMALL = re.compile(rf"control\.other-small\.(?P<merge>.+\.(?:{'|'.join(HEADS)}))\..+-into-(?P<large>.+)")


@dataclass(frozen=True)
class Compared:
    """One system on one task.

    `others`: name of the reference, the small model and the head alone, each with the difference to it; a difference is
    None if either system has no finished run. `rivals`: of a control or baseline, the differences to the merges that
    must beat it, by name. `near_best`: whether the system is the best of its task, or shown to be less than the margin
    below it. `chosen`: whether it is the merge that is best on `select`. `floor`: the metric of the best constant
    prediction.
    """

    task: str
    system: System
    mean: Estimate | None
    others: dict[str, tuple[str, Difference | None]]
    rivals: dict[str, Difference]
    margin: float | None
    floor: float | None
    near_best: bool
    chosen: bool
    p_value: float | None = None
    p_holm: float | None = None
    verdict: str | None = None

    @property
    def to_reference(self) -> Difference | None:
        return self.others["reference"][1]


def compared(runs: pd.DataFrame, grid: Grid, tasks: Mapping[str, Crossed]) -> list[Compared]:
    """Compare all systems of `runs`, the table from `runs.gather`, in its order; `tasks`: from `predictions.crossed`.

    The reference of a system is the fine-tuned large model of its pair; probes, fine-tuned models and `majority` belong
    to the first pair that fits. Verdicts: see `_judged`.
    """
    study, found = grid.study, []
    chosen = best_on_select(runs, grid)
    for task, of_task in runs.groupby("task", sort=False):
        sample, margin = tasks.get(task), study.margin(task)
        names = list(dict.fromkeys(of_task["system"]))
        means = {name: sample.of_mean(name) if sample else None for name in names}
        known = {name: mean.mean for name, mean in means.items() if mean and grid.systems[name].kind != ORACLE}
        best = max(known, key=known.__getitem__, default=None)
        for name in names:
            system = grid.systems[name]
            pair = pair_of(system, grid)
            others = {"reference": f"finetune.{pair.large}", "small": f"finetune.{pair.small}"}
            head_only = _head_only(task, system, grid, runs)
            others |= {"head_only": head_only} if head_only else {}

            def to(other: str, name: str = name, sample: Crossed | None = sample) -> Difference | None:
                return sample.of_difference(name, other) if sample else None

            against = {what: (other, to(other)) for what, other in others.items()}
            merges = merges_against(name, system.kind, known, chosen.get(task))
            rivals = {merge: difference for merge in merges if (difference := to(merge))}
            near = name == best or (name in known and best is not None and _shown_near(to(best), margin))
            floor = sample.floor if sample else None
            own = task, system, means[name], against, rivals, margin, floor, near, chosen.get(task) == name
            found.append(Compared(*own))
    return _judged(found, grid)


def best_on_select(runs: pd.DataFrame, grid: Grid) -> dict[str, str]:
    """The merge with the highest mean metric on `select` over its finished runs, by task."""
    best: dict[str, tuple[float, str]] = {}
    for (task, name), group in runs.groupby(["task", "system"], sort=False):
        score = finished_mean(group, "select_value")
        if grid.systems[name].kind in KINDS and score is not None and (task not in best or score > best[task][0]):
            best[task] = (score, name)
    return {task: name for task, (_, name) in best.items()}


def finished_mean(group: pd.DataFrame, column: str) -> float | None:
    """The mean of a column of `runs.gather` over the finished runs of one system; None if none has a value."""
    known = [float(value) for value in group.loc[group["state"] == "done", column] if not pd.isna(value)]
    return math.fsum(known) / len(known) if known else None


def pair_of(system: System, grid: Grid) -> Pair:
    """The pair whose fine-tuned models a system is compared with."""
    if system.pair is not None:
        return system.pair
    return next((pair for pair in grid.pairs if system.model in (pair.large, pair.small)), grid.pairs[0])


def ratios(
    costs: Mapping[str, float | None], reference: Mapping[str, float | None], names: Sequence[str]
) -> dict[str, float]:
    """Return `<name>_ratio` of these costs to the reference's, where both are known and the latter is not 0."""
    return {
        f"{name}_ratio": own / theirs
        for name in names
        if (own := costs.get(name)) is not None and (theirs := reference.get(name))
    }


def _judged(rows: list[Compared], grid: Grid) -> list[Compared]:
    """Add p values and verdicts against the reference to the rows.

    Only the primary family gets verdicts; its p values are corrected together over all tasks. All other rows with a p
    value are descriptive; those with too few seeds for one have no word.
    """
    statistics = grid.study.statistics

    def is_tested(row: Compared) -> bool:
        return (
            in_family(row.system, grid) and row.system.kind != ORACLE and row.system.name != row.others["reference"][0]
        )

    p_values = [row.to_reference.p_value if row.to_reference else None for row in rows]
    family = {i: p for i, (row, p) in enumerate(zip(rows, p_values, strict=True)) if p is not None and is_tested(row)}
    corrected = dict(zip(family, holm([*family.values()]), strict=True))
    judged = []
    for index, row in enumerate(rows):
        judged_as, p_holm = None if p_values[index] is None else DESCRIPTIVE, corrected.get(index)
        if row.to_reference and p_holm is not None:
            judged_as = verdict(row.to_reference, p_holm, row.margin, statistics.confidence)
        p_value = None if row.system.name == row.others["reference"][0] else p_values[index]
        judged.append(replace(row, p_value=p_value, p_holm=p_holm, verdict=judged_as))
    return judged


def in_family(system: System, grid: Grid) -> bool:
    """Whether a system is in the primary family, which alone gets verdicts."""
    return any(matches(system.name, pattern, grid.ending) for pattern in grid.study.statistics.primary_family)


def _shown_near(to_best: Difference | None, margin: float | None) -> bool:
    """Whether one side of the equivalence test shows a system to be less than the margin below the best."""
    return bool(to_best and to_best.inner and margin is not None and to_best.inner[0] > -margin)


def merges_against(system: str, kind: str, known: Collection[str], chosen: str | None) -> list[str]:
    """The merges among the `known` systems that must beat a control or baseline: the chosen one, and those it is of.

    control.shuffled.<merge>, at the same strength too, is of merge.<merge>;
    control.other-small.<merge>.<head>.<model>-into-<large> of the merges of the same method and head into the same
    large model.
    """
    found = [chosen] if chosen and chosen in known and kind in ("control", "baseline") else []
    for change in CHANGES:
        if system.startswith(prefix := f"control.{change}."):
            merge = system.removeprefix(prefix).replace(".same-strength.", ".")
            found += [name for name in known if name == f"merge.{merge}"]
    if other := _OTHER_SMALL.fullmatch(system):
        start, end = f"merge.{other['merge']}.", f"-into-{other['large']}"
        found += [name for name in known if name.startswith(start) and name.endswith(end)]
    return list(dict.fromkeys(found)) if system in known else []


def _head_only(task: str, system: System, grid: Grid, runs: pd.DataFrame) -> str | None:
    """The head-only control of a merge: the one fitted as its head, or the best on `select` if it has none."""
    if not system.merge:
        return None
    heads = [s for s in grid.systems.values() if not s.merge and s.labels is None]
    controls = [s for s in heads if s.kind == "control" and s.pair == system.pair]
    if system.head == "labelled" and not controls:
        # The labelled head does not depend on the small model, so another pair's control is the same.
        controls = [s for s in heads if s.head == "labelled" and pair_of(s, grid).large == pair_of(system, grid).large]
    if system.head:
        controls = [control for control in controls if control.head == system.head]
        fit = system.settings.fit_rows, system.settings.ridge
        alike = [control for control in controls if (control.settings.fit_rows, control.settings.ridge) == fit]
        return next((control.name for control in [*alike, *controls]), None)
    of_task = runs[runs["task"] == task]
    groups = {control.name: of_task[of_task["system"] == control.name] for control in controls}
    known = {n: score for n, own in groups.items() if (score := finished_mean(own, "select_value")) is not None}
    return max(known, key=known.__getitem__, default=None)
