"""Collect the contents of a report from a study's tables, records and figures; nothing here is HTML."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from graft.io.names import common_pair
from graft.reporting import answer, captions, csv_files, documents, formats, transfer
from graft.reporting.documents import Section
from graft.reporting.page import answers, circumstances
from graft.reporting.page.cards import Card, cards
from graft.reporting.runs import finished_runs
from graft.study import records
from graft.study.grid import Grid
from graft.study.paths import Paths

Drawn = tuple[str, str, Path]


@dataclass(frozen=True)
class TaskPart:
    """A report's part on one task; figures: heading, caption and svg file of each.

    `figures`: those that tell the most, all others are `more`; `why` these.
    """

    name: str
    comparison: Section
    figures: tuple[Drawn, ...]
    why: str
    more: tuple[Drawn, ...]


@dataclass(frozen=True)
class Contents:
    """The contents of a report: `not_beaten` lists controls that did not lose; `figures`, `more`: over all tasks."""

    study: str
    question: str
    headline: str
    answer: tuple[Section, ...]
    given: str
    answers: tuple[str, ...]
    not_beaten: tuple[str, ...]
    warnings: tuple[str, ...]
    tasks: tuple[TaskPart, ...]
    figures: tuple[Drawn, ...]
    more: tuple[Section, ...]
    absent: tuple[tuple[str, str, str], ...]
    cards: tuple[Card, ...]
    circumstances: tuple[tuple[str, str], ...]
    config: str


def contents(grid: Grid, paths: Paths) -> Contents:
    """Read a study's outputs so far; raises FileNotFoundError if a table is missing, and says how to make it."""
    comparison, runs = csv_files.read_comparison(paths), csv_files.read_csv(paths.tables / csv_files.RUNS)
    significance = csv_files.read_csv(paths.tables / csv_files.SIGNIFICANCE)
    aggregate = csv_files.read_csv(paths.tables / csv_files.AGGREGATE)
    found = [records.read(folder / "run.json") for *_, folder in finished_runs(runs, paths)]
    confidence = grid.study.statistics.confidence
    told = csv_files.read_csv(paths.tables / csv_files.ANSWER)
    priced = paths.tables / csv_files.COSTS
    return Contents(
        study=grid.study.name,
        question=answers.question(grid),
        headline=answer.headline(told),
        answer=tuple(answer.by_task(told)),
        given=answer.given(told),
        answers=tuple(answers.answers(comparison, significance, grid)),
        not_beaten=tuple(answers.not_beaten(comparison, significance)),
        warnings=tuple(answers.warnings(comparison, runs, found, grid)),
        tasks=tuple(
            _task(grid, paths, part, answer.most_telling(told, part.heading))
            for part in documents.ranked(comparison, significance, confidence)
        ),
        figures=tuple(_figures(grid, paths, captions.ALL_TASKS).values()),
        more=(
            *documents.together(aggregate, confidence),
            _matched(paths),
            _tests(significance),
            *([costs(csv_files.read_csv(priced))] if priced.is_file() else []),
            *_transfers(grid, paths),
        ),
        absent=tuple(circumstances.absent(grid, paths)),
        cards=tuple(cards(comparison, grid)),
        circumstances=tuple(circumstances.circumstances(found)),
        config=yaml.safe_dump(grid.study.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True),
    )


def _task(grid: Grid, paths: Paths, part: Section, scenario: str | None) -> TaskPart:
    """The part on a task: the frontiers of one scenario first or, without any, the metric against costs."""
    drawn = _figures(grid, paths, part.heading)
    first, why = [name for name in drawn if name in captions.COSTS], ""
    if scenario and (frontiers := [name for name in drawn if name.startswith(captions.FRONTIERS)]):
        first = [name for name in frontiers if scenario in _scenarios(drawn[name][2])]
        why = f"Both figures show {scenario}, where the best merge is furthest ahead of its rival, or least behind."
    more = tuple(figure for name, figure in drawn.items() if name not in first)
    return TaskPart(part.heading, part, tuple(drawn[name] for name in first), why, more)


def _figures(grid: Grid, paths: Paths, task: str) -> dict[str, Drawn]:
    """The figures that are drawn of a task, by name."""
    texts = captions.by_name(grid.scenarios())
    found = {name: (*texts[name], paths.figures / f"{name}.{task}.svg") for name in texts}
    return {name: figure for name, figure in found.items() if figure[2].is_file()}


def _scenarios(figure: Path) -> list[str]:
    """The scenarios of a frontier: its own, and those that look the same."""
    first = csv_files.read_csv(figure.with_suffix(".csv")).iloc[0]
    return [first["scenario"], *(first["same_in"] or "").split()]


def _matched(paths: Paths) -> Section:
    return answer.against(csv_files.read_csv(paths.tables / csv_files.MATCHED))


def costs(table: pd.DataFrame) -> Section:
    """The table of costs for readers: cost.csv or some of its rows."""
    columns = {
        "task": ("task", str),
        "system": ("system", str),
        "training FLOPs": ("train_flops", formats.flops),
        "× reference": ("train_flops_ratio", formats.ratio),
        "shared": ("train_flops_shared", formats.flops),
        "with padding": ("nominal_flops", formats.flops),
        "of it pre-training here": ("pretraining_flops", formats.flops),
        "inference FLOPs": ("inference_flops", formats.flops),
        "× reference ": ("inference_flops_ratio", formats.ratio),
        "at real lengths": ("inference_flops_real", formats.flops),
        "parameters": ("parameters", formats.count),
        "bytes": ("bytes", formats.size),
        "ms per example": ("latency_p50_seconds", lambda seconds: f"{1000 * seconds:.3g}"),
        "examples per s": ("examples_per_second", "{:.3g}".format),
        "peak memory": ("inference_peak_memory_bytes", formats.size),
        "J per example": ("energy_joules_per_example", "{:.2g}".format),
        "s to make": ("wall_seconds", "{:.3g}".format),
    }
    note = (
        f"{captions.TRAINING} Shared: each part is divided by the number of runs that use it. "
        "Inference is per example of 128 tokens, and at the report split's real lengths. Times, memory and energy are "
        "measured: for inference once per architecture, one example at a time (ms) and in batches (examples per s); "
        "s to make is the time of the last job alone, without the jobs it builds on."
    )
    return documents.section("Cost", _short(table, "system"), columns, note)


def _tests(significance: pd.DataFrame) -> Section:
    columns = {
        "task": ("task", str),
        "system": ("system", str),
        "against": ("versus", lambda versus: str(versus).replace("_", " ")),
        "which is": ("other", str),
        "seeds": ("n_seeds", str),
        "examples": ("n_examples", "{:,}".format),
        "difference": ("difference", formats.difference, "new_low", "new_high"),
        "sd over seeds": ("seed_sd", formats.score),
        "margin": ("margin", "{:g}".format),
        "p": ("p_value", "{:.2g}".format),
        "Holm p": ("p_holm", "{:.2g}".format),
        "verdict": ("verdict", str),
        "seeds needed": ("seeds_needed", "{:,}".format),
        "examples needed": ("examples_needed", "{:,}".format),
        "improvement": ("p_improvement", "{:.2f}".format, "p_improvement_low", "p_improvement_high"),
        "ε": ("aso_epsilon", "{:.2f}".format),
    }
    note = (
        "Differences are those of typical runs (paired by seed, without the fifth of the seeds at either end), with "
        "intervals for new seeds and new examples; the sd is of all runs. Against merge: a control and a merge that "
        "must beat it. p is not corrected; Holm p and the verdict are for the primary family. Needed: what would "
        "detect a true difference of one margin in four of five studies. Improvement: the probability that a run of "
        "the system beats one of the other; ε: almost stochastic order, which is 0 if the system is better at every "
        "quantile, and leaves it the better one below 0.5; both over seeds, on these examples."
    )
    return documents.section("Every difference", _short(significance, "system", "other"), columns, note)


def _short(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """The table with the systems' names in these columns without the suffix of the only pair."""
    common = common_pair(table["system"])
    return table.assign(**{column: [name.removesuffix(common) for name in table[column]] for column in columns})


def _transfers(grid: Grid, paths: Paths) -> list[Section]:
    """The comparison of the systems on other data sets, if transfer.csv exists."""
    path = paths.tables / transfer.TRANSFER
    if not grid.transfers or not path.is_file():
        return []
    nothing = pd.DataFrame(columns=["task", "system", "versus"])
    return documents.sections(csv_files.read_csv(path), nothing, pd.DataFrame(), grid.study.statistics.confidence)
