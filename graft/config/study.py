"""The study config: typed, checked before any job runs, and free of torch, since Snakemake itself loads it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from graft.config.checks import check_systems, control_pairs
from graft.config.launch import Launch
from graft.config.models import Like, Model, Pair, check_models, check_pairs, tokenizer_of
from graft.config.problems import sentences
from graft.config.section import Fraction, Name, Positive, Section, Seed
from graft.config.systems import Systems
from graft.config.tasks import Task, check_task
from graft.config.transfer import Transfer, check_transfers
from graft.io import plain_text
from graft.io.names import check_known, matches, shown
from graft.io.strict_yaml import read_yaml, typed
from graft.registry.tasks import TASKS

# First seed of the trials of hyperparameters.
TRIAL_SEEDS = 1_000_000
# First seed of the members of soups, which is also that of their common head.
MEMBER_SEEDS = 2_000_000
MOST_SEEDS = 1000


class Calibration(Section):
    """Unlabelled texts; merges of weights learn their maps from both pre-trained models' activations on them."""

    tokens: Positive = 50_000
    """Tokens read per task and pair."""
    examples: Positive = 256
    """Rows of train (a fixed draw, without labels) on which fisher and regmean collect statistics of the models they
    merge."""
    text: str | None = None
    """File with one text per line (or a pair separated by a tab), `$VARIABLES` expanded; by default the task's train
    texts are used."""

    @property
    def file(self) -> Path | None:
        return None if self.text is None else Path(os.path.expandvars(os.path.expanduser(self.text)))


class CostMeasuring(Section):
    """Measurements of inference: latency, throughput, memory and energy, once per task and architecture."""

    measure: bool = True
    """Whether to measure; if false, their columns in tables/cost.csv are empty."""
    texts: Positive = 128
    """Texts of report (a fixed draw) that every architecture processes, one by one and in batches."""
    batch_size: Positive = 32
    """Examples per batch when throughput, memory and energy are measured."""
    rounds: Positive = 5
    """Rounds through all architectures, so that a machine that slows down does so for all of them."""


# Words of `keep`.
PAIRS, BEST = "pairs", "best"


class Statistics(Section):
    """Settings for comparing systems."""

    primary_family: tuple[str, ...] = ("merge.*",)
    """Patterns for the names of systems that get verdicts, with Holm's correction; all others are descriptive."""
    margins: dict[Name, Fraction] = {}
    """Per task, in units of the primary metric: smaller differences count as equivalent. By default the task table's
    margin; tasks without one are never called equivalent."""
    confidence: Fraction = 0.95
    """Confidence level of all intervals."""
    draws: Annotated[int, Field(ge=100, le=10_000_000)] = 10_000
    """Number of draws in the bootstrap of means."""


class Study(Section):
    """One config: tasks x systems x seeds."""

    name: Name
    """Name of the study; results go to results/<name>/."""
    seeds: tuple[Seed, ...]
    """A list, or a number n for 0 to n-1; at most 1000 seeds."""
    tasks: dict[Name, Task]
    models: dict[Name, Model]
    pairs: tuple[Pair, ...]
    systems: Systems = Systems()
    include: tuple[str, ...] = ("*",)
    """Patterns for <task>/<system>/seed-<n>; runs that match none of them are left out."""
    exclude: tuple[str, ...] = ()
    """Patterns for <task>/<system>/seed-<n>; runs that match any of them are left out."""
    keep: tuple[str, ...] = (PAIRS, BEST)
    """Models that stay: `pairs`, the pairs' own fine-tunings; `best`, each task's best merge on `select`, of the first
    seed; and patterns for <task>/<system>/seed-<n>. Others are deleted once nothing reads them any more; `graft build`
    makes any of them again."""
    calibration: Calibration = Calibration()
    launch: Launch = Launch()
    cost: CostMeasuring = CostMeasuring()
    statistics: Statistics = Statistics()
    transfer: dict[Name, Transfer] = {}
    """Other data sets on which finished systems are evaluated; nothing is trained or chosen on them."""

    @model_validator(mode="before")
    @classmethod
    def _count_of_seeds(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "seeds" not in values:
            return values
        seeds = values["seeds"]
        if isinstance(seeds, list | tuple):
            if len(seeds) > MOST_SEEDS:
                raise ValueError(f"seeds: {len(seeds)} were given; at most {MOST_SEEDS} are possible")
            return values
        count = typed(seeds)
        if type(count) is not int or not 0 < count <= MOST_SEEDS:
            raise ValueError(f"seeds: {shown(seeds)}; give a list, or a whole number from 1 to {MOST_SEEDS}")
        return {**values, "seeds": list(range(count))}

    @field_validator("models")
    @classmethod
    def _finetuned_alike(cls, models: dict[str, Model]) -> dict[str, Model]:
        """Let a model that is like another use its fine-tuning for tasks that are not given."""

        def whole(model: Model) -> Model:
            like = models.get(model.source.like) if isinstance(model.source, Like) else None
            return model.model_copy(update={"finetune": {**like.finetune, **model.finetune}}) if like else model

        return {name: whole(model) for name, model in models.items()}

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        for what, values in (("seeds", self.seeds), ("tasks", self.tasks), ("pairs", self.pairs)):
            if not values:
                raise ValueError(f"{what}: empty; at least one is needed")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: {list(self.seeds)} has a seed twice; give each seed once")
        rows = {name: check_task(name, task) for name, task in self.tasks.items()}
        check_models(self.models, self.tasks)
        check_pairs(self.pairs, self.models, self.tasks)
        check_systems(self.systems, self.pairs, self.models, self.tasks)
        if any(seed >= TRIAL_SEEDS for seed in self.seeds):
            raise ValueError(f"seeds: {TRIAL_SEEDS} and above are reserved for trials and soups; use smaller ones")
        for name in self.statistics.margins:
            check_known("statistics.margins", name, self.tasks)
        check_transfers(self.transfer, rows)
        return self

    @property
    def control_pairs(self) -> tuple[Pair, ...]:
        """The pairs' large models, each with every small model of the control other-small."""
        return control_pairs(self.systems.control.other_small, self.pairs)

    def tokenizer_of(self, model: str) -> str:
        """Return the name of the model whose tokenizer `model` uses."""
        return tokenizer_of(self.models, model)

    def seeds_of(self, task: str) -> tuple[int, ...]:
        """Return the seeds of a task's runs."""
        return self.seeds[: self.tasks[task].seeds]

    def margin(self, task: str) -> float | None:
        """Return the difference in the primary metric below which two systems count as equivalent; None if not set."""
        own = self.tasks[task].row(task)
        # The table's margin is for the task's usual primary metric.
        usual = own.margin if task in TASKS and own.primary_metric == TASKS[task].primary_metric else None
        return self.statistics.margins.get(task, usual)

    def keeps(self, run_id: str, ending: str) -> bool:
        """Whether the include and exclude patterns keep this run; `ending`: the suffix that short names omit."""
        kept, left_out = (
            any(matches(run_id, pattern, ending) for pattern in patterns) for patterns in (self.include, self.exclude)
        )
        return kept and not left_out


def parse(values: dict[str, Any]) -> Study:
    """Check a config; raises ValueError with one line per problem that names the key and what would be right."""
    try:
        return Study.model_validate(values)
    except ValidationError as error:
        raise ValueError(sentences(error.errors(), Study.model_json_schema())) from None


def load(path: str | Path) -> Study:
    """Read a study from YAML (a config) or JSON (the resolved copy in a results folder)."""
    values = read_values(path)
    try:
        return parse(values)
    except ValueError as error:
        raise ValueError("\n".join(f"{path}: {line}" for line in str(error).splitlines())) from None


def read_values(path: str | Path) -> dict[str, Any]:
    """Return the unchecked keys of a config file; raises ValueError, in one sentence, for any other file."""
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path}: no such study config")
    if path.suffix != ".json":
        return read_yaml(path)
    try:
        values = json.loads(plain_text.read(path), object_pairs_hook=_each_once)
    except RecursionError:
        raise ValueError(f"{path}: nested too deeply for a study config") from None
    except ValueError as error:
        raise ValueError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path}: contains no keys; a study config is a mapping")
    return values


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for key, _ in pairs:
        if sum(key == other for other, _ in pairs) > 1:
            raise ValueError(f"key {key!r} appears twice")
    return dict(pairs)
