"""Summarise a study in one sentence, and list its files."""

from collections import Counter
from dataclasses import dataclass

import pandas as pd

from graft.io.names import common_pair
from graft.registry.methods import HEADS, KINDS
from graft.reporting import formats, search
from graft.reporting.csv_files import COMPARISON
from graft.statistics.crossed import SEEDS_FOR_TEST
from graft.study.paths import Paths

# How a system stands to another: what shows it is the verdict, if there is one, or else the interval.
AHEAD, BEHIND, OPEN, UNKNOWN = "ahead", "behind", "undecided", "without an interval"
_BY_VERDICT = {"better": AHEAD, "worse": BEHIND, "equivalent": "equivalent", "inconclusive": OPEN}


def in_words(comparison: pd.DataFrame, significance: pd.DataFrame) -> str:
    """Compare, in one sentence, each task's best merge on `select` with the fine-tuned models and controls.

    comparison, significance: the tables comparison.csv and significance.csv. Scores are means on the report split; who
    is ahead, a verdict or an interval says.
    """
    common = common_pair(comparison["system"])
    rows, tests = formats.records(comparison), formats.records(significance)
    chosen = [row for row in rows if row["chosen"] is True]
    compared = [row for row in chosen if row["delta_vs_reference"] is not None]
    if not compared:
        return "No merge can be compared yet: no merge, or no fine-tuned large model, has finished."
    names = ["the fine-tuned large model", *["it"] * len(compared)]
    reached = [_reached(row, rows, common, name) for row, name in zip(compared, names, strict=False)]
    parts, unknown = [f"The merge that is best on select reaches {listed(reached)}"], []
    for versus, other in (("reference", "the fine-tuned large model"), ("small", "the fine-tuned small model")):
        own = {(row["task"], row["system"]) for row in chosen}
        found = [standing(one) for one in tests if (one["task"], one["system"]) in own and one["versus"] == versus]
        if {*found} == {UNKNOWN}:
            unknown.append(other)
        elif found:
            parts.append(f"it is {_on_tasks(Counter(found), other)}")
    against = faced(rows, tests, common)
    unknown += ["controls"] * any(one.stands == UNKNOWN for one in against)
    if unknown:
        parts.append(f"no interval compares it with {listed(unknown)}")
    parts += [f"{said}: {listed([str(one) for one in own])}" for said, own in not_beaten(against).items()]
    parts += ["every control lost"] * all_lost(against)
    absent = sum((row["n_missing"] or 0) + (row["n_failed"] or 0) for row in rows)
    if absent:
        expected = sum(row["n_expected"] for row in rows if row["kind"] != search.KIND)
        parts.append(f"{absent} of {expected} runs are not included")
    parts += [f"{formats.counted(seeds, where)} too few for a verdict" for seeds, where in few_seeds(rows)]
    return "; ".join(parts) + "."


def few_seeds(rows: list[formats.Row]) -> list[tuple[int, str]]:
    """Numbers of finished seeds that are too few for a verdict, each with ` on <tasks>`, or "" if all tasks have it."""
    seeds = formats.seeds_of(rows)
    found: dict[int, list[str]] = {}
    for task, number in seeds.items():
        if number < SEEDS_FOR_TEST:
            found.setdefault(number, []).append(task)
    return [(number, f" on {listed(own)}" if len(own) < len(seeds) else "") for number, own in found.items()]


@dataclass(frozen=True)
class Faced:
    """A control against a merge that must beat it on a task; `merge` is None for the merge chosen on `select`.

    `stands`: how the control stands to it; `lower`: whether its typical run is lower, shown or not.
    """

    task: str
    control: str
    merge: str | None
    stands: str
    lower: bool

    def __str__(self) -> str:
        return f"{self.control}{'' if self.merge is None else f' against {self.merge}'} on {self.task}"


def standing(test: formats.Row) -> str:
    """How a system stands to another in a row of significance.csv."""
    if test["p_holm"] is not None:
        return _BY_VERDICT[test["verdict"]]
    low, high = test["new_low"], test["new_high"]
    return UNKNOWN if low is None else AHEAD if low > 0 else BEHIND if high < 0 else OPEN


def faced(rows: list[formats.Row], tests: list[formats.Row], common: str) -> list[Faced]:
    """Controls and baselines against the merges that must beat them, and merges against their head alone."""
    chosen = {row["task"]: row["system"] for row in rows if row["chosen"] is True}
    kinds = {row["system"]: row["kind"] for row in rows}
    found = []
    for test in tests:
        task, system, other, stands = test["task"], test["system"], test["other"], standing(test)
        if test["versus"] == "merge":
            merge = None if other == chosen.get(task) else other.removesuffix(common)
            found.append(Faced(task, system.removesuffix(common), merge, stands, test["difference"] < 0))
        own_head = any(f".{head}." in system for head in HEADS)
        if test["versus"] == "head_only" and kinds[system] in KINDS and own_head:
            stands = {AHEAD: BEHIND, BEHIND: AHEAD}.get(stands, stands)
            found.append(Faced(task, "the head alone", system.removesuffix(common), stands, test["difference"] > 0))
    return found


def not_beaten(against: list[Faced]) -> dict[str, list[Faced]]:
    """Controls that did not lose, by what is known of them."""
    groups = {
        "controls that won": [one for one in against if one.stands == AHEAD],
        "controls undecided": [one for one in against if one.stands == OPEN],
        "controls not lower on average": [one for one in against if one.stands == UNKNOWN and not one.lower],
    }
    return {said: own for said, own in groups.items() if own}


def all_lost(against: list[Faced]) -> bool:
    """Whether an interval shows every control to have lost."""
    return bool(against) and all(one.stands == BEHIND for one in against)


def places(paths: Paths) -> list[tuple[str, str]]:
    """Names and paths of the outputs that exist."""
    table = (paths.tables / COMPARISON).with_suffix(".md")
    known = {"table": table, "figures": paths.figures, "report": paths.report}
    return [(what, str(path)) for what, path in known.items() if path.exists()]


def _reached(row: formats.Row, rows: list[formats.Row], common: str, reference: str) -> str:
    """State one merge's score beside the reference's; `reference`: what to call the latter."""
    goal = formats.score(formats.reference_mean(row, rows))
    share = f", {training}" if (training := search.of_training(row, rows)) else ""
    got = f"{row['metric']} {formats.score(row['mean'])} on {row['task']}"
    verdict = f"; verdict: {row['verdict']}" if row["p_holm"] is not None else ""
    return f"{got} where {reference} has {goal} ({row['system'].removesuffix(common)}{share}{verdict})"


def _on_tasks(counts: Counter[str], other: str) -> str:
    """State on how many tasks a merge is ahead, and how it stands on the others."""
    tasks = f"{counts.total()} {'task' if counts.total() == 1 else 'tasks'}"
    others = [f"{stands} on {number}" for stands, number in counts.items() if stands != AHEAD]
    return ", ".join([f"ahead of {other} on {counts[AHEAD]} of {tasks}", *others])


def listed(parts: list[str]) -> str:
    """Join parts of a sentence with commas and `and`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
