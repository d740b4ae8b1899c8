"""Put a study's question, answers and limitations into words."""

from collections.abc import Iterable

import pandas as pd

from graft.config.sources import GeneratedData
from graft.io.names import common_pair
from graft.registry.methods import KINDS
from graft.reporting import formats, search, summary
from graft.reporting.differences import pair_of
from graft.study.grid import Grid
from graft.study.records import RunRecord


def question(grid: Grid) -> str:
    """The question that the study asks."""
    pairs = grid.study.pairs
    if len(pairs) == 1:
        small, large = pairs[0].small, pairs[0].large
        what = f"the fine-tuned {small} into the pre-trained {large} beat fine-tuning {large}"
    else:
        named = ", ".join(f"{pair.small} into {pair.large}" for pair in pairs)
        what = f"a fine-tuned small model into a pre-trained large one beat fine-tuning the large one ({named})"
    return f"Does merging {what}, and what does each cost?"


def answers(comparison: pd.DataFrame, significance: pd.DataFrame, grid: Grid) -> list[str]:
    """One sentence per task on the merge that is best on `select`, and one more if every control lost."""
    rows, common = formats.records(comparison), common_pair(comparison["system"])
    sentences = [_answer(task, [row for row in rows if row["task"] == task], common, grid) for task in grid.study.tasks]
    against = summary.faced(rows, formats.records(significance), common)
    return sentences + ["Every control did worse than the merges it is compared with."] * summary.all_lost(against)


def not_beaten(comparison: pd.DataFrame, significance: pd.DataFrame) -> list[str]:
    """One sentence per control or baseline that did not lose to its own merges or to the one chosen on its task."""
    said = {"controls that won": "did better than", "controls undecided": "cannot be distinguished from"}
    against = summary.faced(
        formats.records(comparison), formats.records(significance), common_pair(comparison["system"])
    )
    sentences = []
    for known, found in summary.not_beaten(against).items():
        merges: dict[tuple[str, str], list[str]] = {}
        for one in found:
            merges.setdefault((one.task, one.control), []).append(one.merge or "the best merge, chosen on select")
        verb = said.get(known, "did, on average and without an interval, as well as")
        sentences += [f"On {task} {control} {verb} {summary.listed(own)}." for (task, control), own in merges.items()]
    return sentences


def warnings(comparison: pd.DataFrame, runs: pd.DataFrame, records: Iterable[RunRecord], grid: Grid) -> list[str]:
    """The study's limitations, one sentence each; `records`: those of its finished runs."""
    rows = [row for row in formats.records(comparison) if row["kind"] != search.KIND]
    study = grid.study
    counts = {what: sum(row[f"n_{what}"] for row in rows) for what in ("expected", "failed", "missing")}
    found = []
    verbs = {"failed": "failed", "missing": "are missing"}
    if absent := [f"{counts[what]} {verb}" for what, verb in verbs.items() if counts[what]]:
        counted = f"Of {counts['expected']} runs {' and '.join(absent)}"
        found.append(f"{counted}: they are listed below and enter no number here.")
    found += [formats.too_few(seeds, where) for seeds, where in summary.few_seeds(rows)]
    if len(study.tasks) == 1:
        found.append("A single task says nothing about others.")
    if generated := [name for name, task in study.tasks.items() if isinstance(task.source, GeneratedData)]:
        found.append(f"Generated from a grammar, not real data: {', '.join(generated)}.")
    found += [f"{name}: {model.note}" for name, model in study.models.items() if model.note]
    found += _failures(rows)
    versions = sorted({str(version) for version in runs["code_version"].dropna()}) if "code_version" in runs else []
    if len(versions) > 1:
        found.append(f"Runs were made with different versions of the code: {', '.join(versions)}.")
    return [*found, *_without_merge(records)]


def _answer(task: str, rows: list[formats.Row], common: str, grid: Grid) -> str:
    row = next((row for row in rows if row["chosen"] is True), None)
    if row is None:
        return f"On {task} there is no answer: no merge has finished."
    name, large = row["system"].removesuffix(common), pair_of(grid.systems[row["system"]], grid).large
    score = formats.score(row["mean"])
    if row["delta_vs_reference"] is None:
        why = f"the fine-tuned {large} has no run to compare it with"
        return f"On {task} the best merge, chosen on select, is {name} with {row['metric']} {score}; {why}."
    goal = formats.reference_mean(row, rows)
    reached = f"{row['mean'] / goal:.0%} of the fine-tuned {large}" if goal > 0 and row["mean"] >= 0 else "less"
    if reached == "less":
        reached = f"{row['metric']} {score} where the fine-tuned {large} has {formats.score(goal)}"
    else:
        reached += f" ({row['metric']} {score} of {formats.score(goal)})"
    costs, inference = [search.of_training(row, rows)], row["inference_flops_ratio"]
    costs += [] if inference is None else [f"{formats.ratio(100 * inference)}% of its inference FLOPs"]
    known = [cost for cost in costs if cost]
    at = f" at {(', and ' if ',' in known[0] else ' and ').join(known)}" if known else ""
    return f"On {task} the best merge, chosen on select ({name}), reaches {reached}{at}; {_told(row)}."


def _told(row: formats.Row) -> str:
    low, high = row["delta_ci_low"], row["delta_ci_high"]
    interval = "" if low is None else f" [{formats.points(low)}, {formats.points(high)}]"
    difference = f"typical runs differ by {formats.points(row['delta_vs_reference'])} points{interval}"
    if row["p_holm"] is not None:
        return f"{difference}, Holm p = {row['p_holm']:.2g}, {row['verdict']}"
    if row["p_value"] is None:
        return f"{difference}, without a verdict ({row['n_seeds']} {'seed' if row['n_seeds'] == 1 else 'seeds'})"
    return f"{difference}, without a verdict (not in the primary family)"


def _failures(rows: list[formats.Row]) -> list[str]:
    """State which systems have runs that did not learn, which verdicts leave out, if any."""
    own = [row for row in rows if row["failed"] and row["kind"] != "baseline"]
    counts = [f"{row['failed']:.0f} of {row['n_seeds']} of {row['system']} on {row['task']}" for row in own]
    told = "Verdicts and differences are about typical runs. Runs no better than one answer for all examples"
    return [f"{told}: {summary.listed(counts)}."] if counts else []


def _without_merge(records: Iterable[RunRecord]) -> list[str]:
    """State how many runs of merges chose strength 0 on `select`, if any."""
    choices = [choice for record in records if record.kind in KINDS for choice in record.choices]
    chosen = [choice.chosen for choice in choices if choice.name == "strength"]
    zeros = sum(value == 0 for value in chosen)
    return [f"{zeros} of {len(chosen)} runs of merges chose strength 0 on select, that is, no merge."] if zeros else []
