"""The grid of a study: its systems and runs, and what they are built on."""

import functools
from dataclasses import dataclass
from typing import Any

from graft.config.models import Pair
from graft.config.section import Section
from graft.config.study import BEST, MEMBER_SEEDS, PAIRS, TRIAL_SEEDS, Study
from graft.config.systems import BudgetPoint
from graft.config.transfer import full_name
from graft.io import files
from graft.io.names import check_patterns, common_pair, system_named
from graft.registry import methods
from graft.registry.scenarios import Scenario, scenarios
from graft.registry.tasks import TaskRow
from graft.study.grid_systems import MEMBER, ORACLE, TRIAL, System, merges_of, rate_trial, systems_of, trial_name

ALL_SEEDS = "all"
RUN = "<task>/<system>/seed-<n>"


@dataclass(frozen=True)
class Run:
    """One system on one task with one seed (or `all`); `trained_on`: its model's task, if `task` is a transfer."""

    task: str
    system: System
    seed: int | str
    trained_on: str | None = None

    @property
    def id(self) -> str:
        return f"{self.task}/{self.system.name}/seed-{self.seed}"

    @property
    def made(self) -> tuple[str, str, int | str]:
        """Task, system and seed of the run that makes its model."""
        return (self.trained_on or self.task, self.system.name, self.seed)


class Grid:
    """Systems and runs of one study; `fingerprints` and `jobs` remember those of its steps (graft.study.steps)."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.fingerprints: dict[Any, str] = {}
        self.jobs: dict[Any, list[Any]] = {}
        self.merges = merges_of(study)
        self.systems = {system.name: system for system in systems_of(study, self.merges)}
        oracles = dict.fromkeys(system.own_pair for system in self.systems.values() if system.kind == ORACLE)
        self.pairs = (*study.pairs, *study.control_pairs, *oracles)
        every = [
            Run(task, system, seed)
            for task in study.tasks
            for system in self.systems.values()
            for seed in self._seeds_of(task, system)
        ]
        # The suffix that short names of systems omit.
        self.ending = common_pair(dict.fromkeys(run.system.name for run in every))
        self._check_patterns(every)
        self.runs = [run for run in every if study.keeps(run.id, self.ending)]
        if not self.runs:
            raise ValueError("include and exclude leave no run; patterns are over <task>/<system>/seed-<n>")
        self.transfers = {full_name(name, spec): (name, spec) for name, spec in study.transfer.items()}
        self.transfer_runs = [run for task in self.transfers for run in self._runs_of_transfer(task)]

    def _check_patterns(self, every: list[Run]) -> None:
        """Raise ValueError for patterns of the study that match nothing; the defaults may."""
        runs, systems = [run.id for run in every], [run.system.name for run in every]
        for key in ("include", "exclude"):
            check_patterns(f"{key}: no run", _chosen(self.study, key), runs, self.ending, RUN)
        kept = [pattern for pattern in self.study.keep if pattern not in (PAIRS, BEST)]
        members = [
            one
            for task in self.study.tasks
            for soup in self.systems.values()
            if soup.program == "soup"
            for one in self.merged(task, soup, ALL_SEEDS)
        ]
        made = [*runs, *(f"{task}/{system}/seed-{seed}" for task, system, seed in members)]
        check_patterns("keep: no run", kept, made, self.ending, RUN)
        family = _chosen(self.study.statistics, "primary_family")
        check_patterns("statistics.primary_family: no system", family, systems, self.ending)

    def named(self, system: str, task: str | None = None) -> str:
        """Resolve a name as in the tables to a system that is run (on `task`, if given); raises ValueError."""
        runs = [*self.runs, *self.transfer_runs]
        return system_named(system, [run.system.name for run in runs if task in (None, run.task)])

    def _runs_of_transfer(self, task: str) -> list[Run]:
        """One run for each run of the systems' training task; runs that the study excludes are not transferred."""
        name, spec = self.transfers[task]
        own = [run for run in self.runs if run.task == spec.task]
        names = [run.system.name for run in own]
        nothing = f"transfer.{name}.systems: no system that is run on {spec.task}"
        check_patterns(nothing, spec.systems, names, self.ending)
        kept = [run for run in own if spec.evaluates(run.system.name, self.ending)]
        return [Run(task, run.system, run.seed, spec.task) for run in kept]

    def scenarios(self, task: str | None = None) -> dict[str, Scenario]:
        """The scenarios of the study, or of one of its tasks, by name."""
        return scenarios(run.system.labels for run in self.runs if task in (None, run.task))

    def trained_on(self, task: str) -> str:
        """The task on which the systems of a task or transfer were trained."""
        return self.transfers[task][1].task if task in self.transfers else task

    def row(self, task: str) -> TaskRow:
        """Classes, metrics and columns of a task or transfer."""
        own = self.trained_on(task)
        row = self.study.tasks[own].row(own)
        return self.transfers[task][1].row(row) if task in self.transfers else row

    def _seeds_of(self, task: str, system: System) -> tuple[int | str, ...]:
        if system.kind in (TRIAL, MEMBER):
            return ()
        if not system.seeded:
            return (ALL_SEEDS,)
        seeds = self.study.seeds_of(task)
        if (system.labels or 0) > self.study.tasks[task].limits.select:
            return ()
        if system.program == "ensemble":
            return tuple(seed for seed in seeds if self._members(task, system, seed))
        if system.kind == "multitask":
            return min(map(self.study.seeds_of, self.study.tasks), key=len)
        return min(seeds, self.study.seeds_of(self.tuned_on(task, system.merge)), key=len)

    def tuned_on(self, task: str, merge: str) -> str:
        """The task on which the small model that a merge carries over was fine-tuned: the next one, if a wrong one."""
        tasks, wrong = [*self.study.tasks], merge and self.merges[merge].change == "wrong-task"
        return tasks[(tasks.index(task) + 1) % len(tasks)] if wrong else task

    def _members(self, task: str, system: System, seed: int) -> tuple[int, ...]:
        """Seeds of the fine-tuned models in an ensemble; () if it would share a member with another or lack one."""
        seeds, size = self.study.seeds_of(task), system.settings.members
        found = seeds[(at := seeds.index(seed)) : at + size]
        return found if at % size == 0 and len(found) == size else ()

    def built_on(self, task: str, system: System, seed: int | str) -> list[tuple[str, int | str]]:
        """Finished systems, with their seeds, that a fine-tuning or an ensemble builds on."""
        if system.program == "ensemble":
            return [(f"finetune.{system.model}", member) for member in self._members(task, system, int(seed))]
        return [(system.parent, seed if self.systems[system.parent].seeded else ALL_SEEDS)] if system.parent else []

    def merged(self, task: str, system: System, seed: int | str) -> list[tuple[str, str, int]]:
        """Task, system and seed of every fine-tuned model that goes into a soup, or into a multitask encoder."""
        if system.program == "soup":
            seeds = range(MEMBER_SEEDS, MEMBER_SEEDS + system.settings.members)
            return [(task, f"member.{system.model}", member) for member in seeds]
        return [(own, f"finetune.{system.model}", int(seed)) for own in self.study.tasks]

    def two_vocabularies(self, pair: Pair) -> bool:
        """Whether the two models of a pair read different tokens."""
        return self.study.tokenizer_of(pair.large) != self.study.tokenizer_of(pair.small)

    def pair(self, name: str) -> Pair:
        return next(pair for pair in self.pairs if pair.name == name)

    def max_tokens(self, task: str, model: str) -> int:
        own = self.transfers[task][1].max_tokens if task in self.transfers else None
        return own or self.study.models[model].finetune[self.trained_on(task)].max_tokens

    def runs_both(self, system: System) -> Pair | None:
        """The pair of a system that runs parts of both models, if these read different tokens."""
        composite = system.merge and methods.facts(system.method).kind == methods.KINDS[1]
        return system.pair if composite and system.pair and self.two_vocabularies(system.pair) else None

    def reads_as(self, system: System) -> str:
        """The model whose tokenization `evaluate` uses for a system.

        Merges use that of the large model; a system without models (majority) that of the first pair's large model.
        """
        return system.model or (system.pair or self.study.pairs[0]).large

    def trials(self, task: str, model: str) -> list[tuple[str, int]]:
        """Trial systems, with their seeds, of a model's hyperparameter grid on a task."""
        settings = self.study.models[model].finetune[task]
        seeds = range(TRIAL_SEEDS, TRIAL_SEEDS + settings.grid.seeds) if settings.grid else ()
        return [(trial_name(model, tried), seed) for tried in settings.tried() for seed in seeds]

    def rate_trials(self, point: System) -> list[tuple[str, int]]:
        """Trial systems, with their seeds, of the learning rates of a system `budget.…`; none for a single rate."""
        settings = point.settings
        if not isinstance(settings, BudgetPoint):
            return []
        names = [name for rate in settings.rates if (name := rate_trial(point.name, rate)) in self.systems]
        return [(name, TRIAL_SEEDS + number) for name in names for number in range(settings.seeds)]

    @functools.cache  # noqa: B019 - one grid per process
    def has_sweep(self, merge: str) -> bool:
        """Whether several systems of a pair share a merge's bodies, run by a separate step; one alone runs its own."""
        return len({(s.head, bool(s.parent)) for s in self.systems.values() if s.merge == merge and s.head}) > 1

    @functools.cache  # noqa: B019
    def calibration_text(self) -> dict[str, str]:
        """sha256 of the study's own calibration text; empty for the tasks' train texts, which have fingerprints."""
        path = self.study.calibration.file
        if path is None:
            return {}
        if not path.is_file():
            raise ValueError(f"calibration.text: {path} is missing; a file with one text per line is needed")
        return {"text": files.sha256(path)}


def _chosen(section: Section, key: str) -> list[str]:
    """Patterns of a section that are not defaults."""
    return [pattern for pattern in getattr(section, key) if pattern not in type(section).model_fields[key].default]
