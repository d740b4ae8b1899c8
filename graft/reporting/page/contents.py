"""Collect the contents of a report from a study's tables, records and figures; nothing here is HTML."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from graft.reporting import answer, captions, csv_files, documents, formats, transfer
from graft.reporting.documents import Section
from graft.reporting.page import answers, circumstances
from graft.reporting.page.cards import Card, cards
from graft.reporting.runs import finished_runs
from graft.study import records
from graft.study.grid import Grid
from graft.study.paths import Paths


@dataclass(frozen=True)
class TaskPart:
    """A report's part on one task; `figures`: heading, caption and svg file of each."""

    name: str
    comparison: Section
    figures: tuple[tuple[str, str, Path], ...]


@dataclass(frozen=True)
class Contents:
    """The contents of a report: `not_beaten` lists controls that did not lose; `figures`, `more`: over all tasks."""

    study: str
    question: str
    answer: Section
    answers: tuple[str, ...]
    not_beaten: tuple[str, ...]
    warnings: tuple[str, ...]
    tasks: tuple[TaskPart, ...]
    figures: tuple[tuple[str, str, Path], ...]
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
    parts = documents.sections(comparison, significance, aggregate, grid.study.statistics.confidence)
    by_heading = {part.heading: part for part in parts}
    own = tuple(TaskPart(task, by_heading.pop(task), _figures(paths, task)) for task in comparison["task"].unique())
    return Contents(
        study=grid.study.name,
        question=answers.question(grid),
        answer=answer.section(csv_files.read_csv(paths.tables / csv_files.ANSWER)),
        answers=tuple(answers.answers(comparison, significance, grid)),
        not_beaten=tuple(answers.not_beaten(comparison, significance)),
        warnings=tuple(answers.warnings(comparison, runs, found, grid)),
        tasks=own,
        figures=_figures(paths, captions.ALL_TASKS),
        more=(*by_heading.values(), *_costs(paths), _matched(paths), _tests(significance), *_transfers(grid, paths)),
        absent=tuple(circumstances.absent(grid, paths)),
        cards=tuple(cards(comparison, grid)),
        circumstances=tuple(circumstances.circumstances(found)),
        config=yaml.safe_dump(grid.study.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True),
    )


def _figures(paths: Paths, task: str) -> tuple[tuple[str, str, Path], ...]:
    found = ((*texts, paths.figures / f"{name}.{task}.svg") for name, texts in captions.FIGURES.items())
    return tuple(figure for figure in found if figure[2].is_file())


def _matched(paths: Paths) -> Section:
    return answer.against(csv_files.read_csv(paths.tables / csv_files.MATCHED))


def _costs(paths: Paths) -> list[Section]:
    """The table of costs, if cost.csv exists."""
    path = paths.tables / csv_files.COSTS
    if not path.is_file():
        return []
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
    return [documents.section("Cost", csv_files.read_csv(path), columns, note)]


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
    return documents.section("Every difference", significance, columns, note)


def _transfers(grid: Grid, paths: Paths) -> list[Section]:
    """The comparison of the systems on other data sets, if transfer.csv exists."""
    path = paths.tables / transfer.TRANSFER
    if not grid.transfers or not path.is_file():
        return []
    nothing = pd.DataFrame(columns=["task", "system", "versus"])
    return documents.sections(csv_files.read_csv(path), nothing, pd.DataFrame(), grid.study.statistics.confidence)
