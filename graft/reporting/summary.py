"""Summarise a study in one sentence, and list its files."""

import re
from dataclasses import dataclass

import pandas as pd

from graft.io.names import common_pair
from graft.registry.methods import CHANGES, HEADS, KINDS
from graft.reporting import formats, search
from graft.reporting.csv_files import COMPARISON
from graft.statistics.crossed import SEEDS_FOR_TEST
from graft.study.paths import Paths

_OTHER_SMALL = re.compile(rf"control\.other-small\.(?P<merge>.+\.(?:{'|'.join(HEADS)}))\..+-into-(?P<large>.+)")


def in_words(comparison: pd.DataFrame) -> str:
    """Compare, in one sentence, each task's best merge on `select` with the fine-tuned models and controls.

    comparison: the table comparison.csv. All statements are about means on the report split.
    """
    common = common_pair(comparison["system"])
    rows = formats.records(comparison)
    chosen = [row for row in rows if row["chosen"] is True]
    compared = [row for row in chosen if row["delta_vs_reference"] is not None]
    if not compared:
        return "No merge can be compared yet: no merge, or no fine-tuned large model, has finished."
    names = ["the fine-tuned large model", *["it"] * len(compared)]
    reached = [_reached(row, rows, common, name) for row, name in zip(compared, names, strict=False)]
    parts = [f"The merge that is best on select reaches {listed(reached)}"]
    parts.append(f"it is ahead of the fine-tuned large model on {_tasks_ahead(chosen, 'delta_vs_reference')}")
    parts[-1] += f" and of the fine-tuned small model on {_tasks_ahead(chosen, 'delta_vs_small')}"
    unbeaten = controls_not_beaten(rows, chosen, common)
    if unbeaten:
        parts.append(f"controls that did not lose: {listed([str(one) for one in unbeaten])}")
    elif any(_is_control(row) for row in rows):
        parts.append("every control lost")
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
class Unbeaten:
    """A control that is as good as a merge on a task; `merge` is None for the merge chosen on `select`."""

    task: str
    control: str
    merge: str | None = None

    def __str__(self) -> str:
        return f"{self.control}{'' if self.merge is None else f' against {self.merge}'} on {self.task}"


def controls_not_beaten(rows: list[formats.Row], chosen: list[formats.Row], common: str) -> list[Unbeaten]:
    """Find controls and baselines that are as good as their task's chosen merge, or as the merge they control for."""
    merges = {row["task"]: row["mean"] for row in chosen}
    means = {(row["task"], row["system"]): row["mean"] for row in rows}
    known = list(dict.fromkeys(row["system"] for row in rows))
    found = []
    for row in rows:
        task, name, mean = row["task"], row["system"].removesuffix(common), row["mean"]
        rivals: dict[str | None, float | None] = {None: merges[task]} if task in merges and _is_control(row) else {}
        rivals |= {own.removesuffix(common): means.get((task, own)) for own in _merges_of(row["system"], known)}
        found += [
            Unbeaten(task, name, merge)
            for merge, theirs in rivals.items()
            if None not in (mean, theirs) and mean >= theirs
        ]
        own_head, delta = any(f".{head}." in row["system"] for head in HEADS), row["delta_vs_head_only"]
        if row["kind"] in KINDS and own_head and delta is not None and delta <= 0:
            found.append(Unbeaten(task, "the head alone", name))
    return found


def places(paths: Paths) -> list[tuple[str, str]]:
    """Names and paths of the outputs that exist."""
    table = (paths.tables / COMPARISON).with_suffix(".md")
    known = {"table": table, "figures": paths.figures, "report": paths.report}
    return [(what, str(path)) for what, path in known.items() if path.exists()]


def _merges_of(system: str, known: list[str]) -> list[str]:
    """The merges, among the `known` systems, that a control belongs to.

    control.shuffled.<merge>, at the same strength too, belongs to merge.<merge>;
    control.other-small.<merge>.<head>.<model>-into-<large> to the merges of the same method and head into the same
    large model.
    """
    for change in CHANGES:
        if system.startswith(prefix := f"control.{change}."):
            return [f"merge.{system.removeprefix(prefix).replace('.same-strength.', '.')}"]
    if other := _OTHER_SMALL.fullmatch(system):
        start, end = f"merge.{other['merge']}.", f"-into-{other['large']}"
        return [name for name in known if name.startswith(start) and name.endswith(end)]
    return []


def _is_control(row: formats.Row) -> bool:
    return row["kind"] in ("control", "baseline")


def _reached(row: formats.Row, rows: list[formats.Row], common: str, reference: str) -> str:
    """State one merge's score beside the reference's; `reference`: what to call the latter."""
    goal = formats.score(formats.reference_mean(row, rows))
    share = f", {training}" if (training := search.of_training(row, rows)) else ""
    got = f"{row['metric']} {formats.score(row['mean'])} on {row['task']}"
    verdict = f"; verdict: {row['verdict']}" if row["p_holm"] is not None else ""
    return f"{got} where {reference} has {goal} ({row['system'].removesuffix(common)}{share}{verdict})"


def _tasks_ahead(chosen: list[formats.Row], column: str) -> str:
    known = [row for row in chosen if row[column] is not None]
    ahead = [row["task"] for row in known if row[column] > 0]
    return f"{len(ahead)} of {len(known)} {'task' if len(known) == 1 else 'tasks'}"


def listed(parts: list[str]) -> str:
    """Join parts of a sentence with commas and `and`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
