"""The answer of a study, a row per task and scenario: what to use, and whether a merge is better than its rival."""

from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from graft.io.names import common_pair
from graft.registry.methods import KINDS
from graft.registry.scenarios import CLASSICAL, named
from graft.reporting import documents, formats
from graft.reporting.differences import pair_of
from graft.reporting.matched import OWN, best_of, priced
from graft.reporting.search import Parts
from graft.statistics.crossed import Crossed
from graft.statistics.verdicts import DESCRIPTIVE
from graft.study.grid import Grid

COLUMNS = (
    *("task", "scenario", "use", "what", "n_seeds", "metric", "mean", "ci_low", "ci_high"),
    *("train_flops", "inference_flops", "merge", "rival", "difference", "new_low", "new_high", "verdict", "in_words"),
)
# The columns of the answer in short.
SHORT = (
    *("scenario", "does merging pay?", "best merge − its rival", "best merge", "its rival"),
    *("what to use", "its metric", "to make", "to run"),
)
# What a merge is that chose strength 0 with every seed.
UNMERGED = "the large model under a head"
_BEGINS = {"better": "Yes:", "worse": "No:", "equivalent": "No:", "inconclusive": "Undecided:"}

_IN_SUM = {"No verdict": "without a verdict", "No answer": "without an answer"}


def answer(
    matched: pd.DataFrame,
    runs: pd.DataFrame,
    grid: Grid,
    tasks: Mapping[str, Crossed],
    parts: Parts,
    unmerged: Collection[tuple[str, str]],
) -> pd.DataFrame:
    """One row with COLUMNS per task and scenario.

    `use`: the merge or classical system that is best on `select`, whatever it costs to run, with its mean on `report`
    and its cost in the scenario; with few labels, the small model, unless another is clearly ahead (`best_of`);
    without, the small model, unless a merge is better. `what` it is. `merge`: the merge that is best on `select`, with
    its rival, difference and verdict from `matched`, the table of that name. `unmerged`: from `runs.unmerged`.
    """
    tests, common, found = formats.records(matched), common_pair(grid.systems), []
    for task, sample in tasks.items():
        metric = grid.row(task).primary_metric
        for name, scenario in grid.scenarios(task).items():
            own = [test for test in tests if (test["task"], test["scenario"]) == (task, name)]
            test = next((one for one in own if one["inference_limit"] == "any"), None)
            pair = pair_of(grid.systems[test["system"]], grid) if test else grid.pairs[0]
            known = priced(runs, task, pair.small, scenario, grid, parts)
            best = best_of((one for one in known if one.system.kind != "control"), f"finetune.{pair.small}")
            if scenario.labels == 0 and test and test["verdict"] == "better":
                best = next(one for one in known if one.system.name == test["system"])
            mean = sample.of_mean(best.system.name) if best else None
            row: dict[str, Any] = {"task": task, "scenario": name, "metric": metric}
            if best and mean:
                row |= {"use": best.system.name, "n_seeds": mean.n_seeds, "mean": mean.mean}
                row["what"] = _what(task, best.system.name, best.system.kind, unmerged)
                row |= dict(zip(("ci_low", "ci_high"), mean.new or (None, None), strict=True))
                row |= {"train_flops": best.train_flops, "inference_flops": best.inference_flops}
            if test:
                row |= {"merge": test["system"]} | {key: test[key] for key in COLUMNS[-6:-1]}
            scores = {one: sample.of_mean(one) for one in (row.get("merge"), row.get("rival")) if one}
            means = {one: formats.score(score.mean) for one, score in scores.items() if score}
            said = [_sentence(test, means, metric, common, unmerged), _reached(test), _ahead(own, common)]
            found.append(row | {"in_words": " ".join(part for part in said if part)})
    table = pd.DataFrame(found, columns=list(COLUMNS), dtype=object)
    return table.where(table.notna(), None)


def section(table: pd.DataFrame, scenario: str | None = None) -> documents.Section:
    """The answer as a table for readers; of one scenario, if it is named."""
    columns = {
        "task": ("task", str),
        "scenario": ("scenario", str),
        "use": ("use", str),
        "score": ("mean", formats.score, "ci_low", "ci_high"),
        "training FLOPs": ("train_flops", formats.flops),
        "inference FLOPs": ("inference_flops", formats.flops),
        "best merge − rival": ("difference", formats.difference, "new_low", "new_high"),
        "verdict": ("verdict", str),
        "does merging pay?": ("in_words", str),
    }
    common = _common(table)
    shown = table[table["scenario"] == scenario] if scenario else table
    names = [
        name and f"{name.removesuffix(common)}{f' ({UNMERGED})' if what == UNMERGED else ''}"
        for name, what in zip(shown["use"], shown["what"], strict=True)
    ]
    note = (
        f"{given(shown)}. "
        "Use: the merge or classical system that is best on select, with its mean on report. Best merge − rival: the "
        "difference of typical runs of the merge that is best on select to the classical system that is best on select "
        "among those that cost no more to train. All merges, limits on inference and controls are in matched.csv."
    )
    return documents.section("Answer", shown.assign(use=names), columns, note)


def by_task(table: pd.DataFrame) -> list[documents.Section]:
    """The answer in short, a section per task with a row per scenario; `notes`: each row in words."""
    common, found = _common(table), []

    def named(name: str | None) -> str:
        return name.removesuffix(common) if name else formats.NOTHING

    for task, own in table.groupby("task", sort=False):
        rows, notes = [], []
        for row in formats.records(own):
            apart = formats.with_interval(row["difference"], row["new_low"], row["new_high"], formats.difference)
            score = formats.with_interval(row["mean"], row["ci_low"], row["ci_high"], formats.score)
            why = f", {row['verdict']}" if row["verdict"] in ("worse", "equivalent") else ""
            use = f"{named(row['use'])}{f' ({UNMERGED})' if row['what'] == UNMERGED else ''}"
            texts = [row["scenario"], f"{pays(row)}{why}", apart, named(row["merge"]), named(row["rival"]), use, score]
            texts += [formats.flops(row["train_flops"]), formats.flops(row["inference_flops"])]
            rows.append(tuple(map(documents.Cell, texts)))
            notes.append(f"{row['scenario']}: {row['in_words']}")
        found.append(documents.Section(str(task), SHORT, tuple(rows), tuple(notes)))
    return found


def pays(row: formats.Row) -> str:
    """Whether merging pays, as a row's sentence begins: Yes, No, Undecided, No verdict, or No answer."""
    return str(row["in_words"]).split(":")[0].split(",")[0]


def headline(table: pd.DataFrame) -> str:
    """Whether merging pays in any scenario, in one sentence."""
    by_answer: dict[str, list[str]] = {}
    for row in formats.records(table):
        by_answer.setdefault(pays(row), []).append(f"{row['task']}, {row['scenario']}")
    total = sum(map(len, by_answer.values()))
    yes = by_answer.pop("Yes", [])
    if yes:
        others = f"; not shown in the other {total - len(yes)} cases" if total > len(yes) else ""
        return f"Yes, in {len(yes)} of {total} cases ({'; '.join(yes)}){others}."
    if not total:
        return "There is no answer yet: nothing has finished."
    if {*by_answer} == {"No"}:
        return f"No, in none of {total} cases: no best merge is better than its matched rival."
    counts = [f"{len(cases)} {_IN_SUM.get(answered, answered.lower())}" for answered, cases in by_answer.items()]
    return f"It is not shown to pay in any of {total} cases: {', '.join(counts)}."


def given(table: pd.DataFrame) -> str:
    """State what a user has in each scenario of the answer."""
    return "; ".join(f"{name}: you have {named(name).given}" for name in table["scenario"].unique())


def most_telling(table: pd.DataFrame, task: str) -> str | None:
    """Choose the scenario in which the best merge is furthest ahead of its rival, or least behind.

    A verdict for it counts more than the difference. If it loses even here, it loses everywhere.
    """
    rows = [row for row in formats.records(table[table["task"] == task]) if row["difference"] is not None]
    best = max(rows, key=lambda row: (row["verdict"] == "better", row["difference"]), default=None)
    return str(best["scenario"]) if best else None


def _common(table: pd.DataFrame) -> str:
    return common_pair([name for column in ("use", "merge", "rival") for name in table[column] if name])


def against(table: pd.DataFrame) -> documents.Section:
    """Every merge and control against its matched rival, as a table for readers: matched.csv or some of its rows."""
    columns = {
        "scenario": ("scenario", str),
        "task": ("task", str),
        "system": ("system", str),
        "to run": ("inference_limit", str),
        "rival": ("rival", str),
        "training FLOPs": ("train_flops", formats.flops),
        "the rival's": ("rival_train_flops", formats.flops),
        "difference": ("difference", formats.difference, "new_low", "new_high"),
        "Holm p": ("p_holm", "{:.2g}".format),
        "verdict": ("verdict", str),
        "large model alone": ("reach_ratio", formats.ratio, "reach_low", "reach_high"),
    }
    note = (
        "The rival is the classical system that is best on select among those that cost no more to train, in the "
        "scenario's accounting, and no more to run than the system (to run: own), than the fine-tuned small or large "
        "model, or at any cost (of the merge that is best on select within the same limit). Differences are those of "
        "typical runs. To be worse than a rival that was chosen is corrected for the number of those it was chosen "
        "from, and all verdicts by Holm over all merges and tasks of a scenario. Large model alone: the training "
        "FLOPs at which its classical systems reach the mean of the merge, as a multiple of the merge's; empty if they "
        "never do, without an interval if that has no upper end."
    )
    common = common_pair(table["system"])
    short = {name: [one and one.removesuffix(common) for one in table[name]] for name in ("system", "rival")}
    return documents.section("Every merge against its matched rival", table.assign(**short), columns, note)


def _what(task: str, name: str, kind: str, unmerged: Collection[tuple[str, str]]) -> str:
    return (UNMERGED if (task, name) in unmerged else "merge") if kind in KINDS else kind


def _sentence(
    test: formats.Row | None, means: Mapping[str, str], metric: str, common: str, unmerged: Collection[tuple[str, str]]
) -> str:
    """Yes or no, then the numbers: whether the best merge is better than its rival."""
    if test is None:
        return "No answer: no merge has finished."
    nothing = (test["task"], test["system"]) in unmerged
    merge = f"{test['system'].removesuffix(common)}{f' ({UNMERGED}: strength 0 in all runs)' if nothing else ''}"
    reached = f"{merge} has {metric} {means[test['system']]}"
    if test["rival"] is None:
        return f"No answer: {reached}, and no classical system costs no more to train."
    if test["difference"] is None:
        return f"No answer: {reached}, and has no seed in common with {test['rival'].removesuffix(common)}."
    begins = _BEGINS.get(test["verdict"])
    if begins is None:
        seeds = f"{test['n_seeds']} {'seed' if test['n_seeds'] == 1 else 'seeds'}"
        begins = f"No verdict: {'not in the primary family' if test['verdict'] == DESCRIPTIVE else seeds};"
    elif nothing and begins == "Yes:":
        begins = "No, what is better is no merge:"
    difference = formats.with_interval(test["difference"], test["new_low"], test["new_high"], formats.points)
    rival = f"{test['rival'].removesuffix(common)}, which costs no more to train, {means[test['rival']]}"
    verdict = f", {test['verdict']}" if test["p_holm"] is not None else ""
    return f"{begins} {reached} and {rival}; typical runs differ by {difference} points{verdict}."


def _reached(test: formats.Row | None) -> str:
    """State what it takes the large model alone to reach the merge, if there are intervals."""
    if test is None or test["new_low"] is None:
        return ""
    if not test["train_flops"]:
        return "The merge costs nothing to train, so that no cost is a multiple of it."
    low, high = test["reach_low"], test["reach_high"]
    ends = f"[{formats.ratio(low)}, {'∞' if high is None else formats.ratio(high)}]" if low is not None else ""
    if test["reach_flops"] is None:
        return (
            f"The large model alone does not reach its mean{f' (multiples of its training: {ends})' if ends else ''}."
        )
    return (
        f"The large model alone reaches its mean with {formats.ratio(test['reach_ratio'])} {ends} times its training."
    )


def _ahead(tests: list[formats.Row], common: str) -> str:
    """Name the controls that an interval shows to be ahead of their rivals, if these know more than labels."""
    ahead = [
        one["system"].removesuffix(common)
        for one in tests
        if one["kind"] == "control" and one["inference_limit"] == OWN and (one["new_low"] or 0) > 0
        if one["rival"] != CLASSICAL[-1]
    ]
    return f"Controls ahead of their rivals: {', '.join(ahead)}." if ahead else ""
