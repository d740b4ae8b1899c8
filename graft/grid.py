"""The run grid: which systems a study has, which runs, and the fingerprint of everything that leads to them."""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from graft import files
from graft.local_models import local_folder, model_files
from graft.merging import registry
from graft.merging.homogeneous import table
from graft.shapes import Shape, check_shapes
from graft.sources import FileData, GeneratedData, HubData
from graft.study import (
    MEMBER_SEEDS,
    TRIAL_SEEDS,
    DistilledModel,
    FineTuning,
    HubModel,
    Like,
    Made,
    MaskedModel,
    PackageModel,
    Pair,
    PathModel,
    RandomModel,
    Study,
)
from graft.systems import FewShotSystem, MemberSystem, MergeSystem, OtherSmallControl, TrialSystem, WarmStartSystem
from graft.tasks import generated
from graft.tasks.readers import source_files
from graft.tasks.table import TaskRow
from graft.transfer import full_name

# Bumped when a step's meaning changes, so that older results are made anew: that of every step, or of one.
RECIPES = 3
RECIPES_OF = {"probe": 4, "merge": 5, "sweep": 4, "WarmStartSystem": 4}
ALL_SEEDS = "all"
# Kinds of systems that are no runs: they only try hyperparameters, or go into soups.
TRIAL, MEMBER = "trial", "member"


@dataclass(frozen=True)
class System:
    """Anything that gets a row in the tables, and what its program needs to know.

    `program`: what makes it, one of `steps.RULES`. `seeded`: one run per seed, otherwise one run (`seed-all`) stands
    for all. `merge`: key under `systems.merge`; `settings` are that entry, or those of the system's own section.
    `parent`: the system from whose model, or answers, a fine-tuning goes on; `steps`: how many it takes, if not epochs.
    """

    name: str
    kind: str
    label_use: str
    program: str
    seeded: bool
    model: str | None = None
    pooling: str | None = None
    pair: Pair | None = None
    merge: str | None = None
    method: str | None = None
    head: str | None = None
    settings: Any = None
    parent: str | None = None
    steps: int | None = None


@dataclass(frozen=True)
class Merge:
    """A way of merging that a study has: a method with its settings, and the change that it is given."""

    method: str
    settings: MergeSystem
    change: str = "finetuned"

    # Cached, since Snakemake asks for them with every job.
    @functools.cached_property
    def options(self) -> dict[str, Any]:
        """All options of the method, defaults filled in."""
        return registry.checked_options(self.method, self.settings.options)

    @functools.cached_property
    def depth(self) -> str | None:
        """Name of the depth map for which it needs statistics, or None."""
        return self.options["depth"] if registry.needs_calibration(self.method, self.options) else None


@dataclass(frozen=True)
class Run:
    """One system on one task with one seed (or `all`); `trained_on`: the task of its model, if `task` is a transfer."""

    task: str
    system: System
    seed: int | str
    trained_on: str | None = None

    @property
    def id(self) -> str:
        return f"{self.task}/{self.system.name}/seed-{self.seed}"

    @property
    def made(self) -> tuple[str, str, int | str]:
        """Task, system and seed under which its model is made."""
        return (self.trained_on or self.task, self.system.name, self.seed)


class Grid:
    """Systems, runs and fingerprints of one study.

    A fingerprint is a hash of the part of the config that a step depends on and of its inputs' fingerprints; data and
    weights from outside enter by sha256 or revision.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.pairs = (*study.pairs, *study.control_pairs)
        self.merges = _merges(study)
        self.systems = {system.name: system for system in _systems(study, self.merges)}
        self.runs = [
            run
            for task in study.tasks
            for system in self.systems.values()
            for seed in self._seeds_of(system)
            if study.keeps((run := Run(task, system, seed)).id)
        ]
        if not self.runs:
            raise ValueError("include and exclude leave no run; patterns are over <task>/<system>/seed-<n>")
        self.transfers = {full_name(name, spec): (name, spec) for name, spec in study.transfer.items()}
        self.transfer_runs = [run for task in self.transfers for run in self._runs_of_transfer(task)]

    def _runs_of_transfer(self, task: str) -> list[Run]:
        """One for each run of the task that the systems were trained on; what the study leaves out is not made."""
        name, spec = self.transfers[task]
        own = [run for run in self.runs if run.task == spec.task]
        for pattern in spec.systems:
            if not fnmatch.filter([run.system.name for run in own], pattern):
                raise ValueError(f"transfer.{name}.systems: no system that is run on {spec.task} matches {pattern!r}")
        return [Run(task, run.system, run.seed, spec.task) for run in own if spec.evaluates(run.system.name)]

    def trained_on(self, task: str) -> str:
        """The task whose systems a task or transfer evaluates."""
        return self.transfers[task][1].task if task in self.transfers else task

    def row(self, task: str) -> TaskRow:
        """Classes and metrics of a task, or those with which a transfer evaluates; columns are those of its data."""
        own = self.trained_on(task)
        row = self.study.tasks[own].row(own)
        return self.transfers[task][1].row(row) if task in self.transfers else row

    def _seeds_of(self, system: System) -> tuple[int | str, ...]:
        if system.kind in (TRIAL, MEMBER):
            return ()
        if not system.seeded:
            return (ALL_SEEDS,)
        if system.program == "ensemble":
            return tuple(seed for seed in self.study.seeds if self.members(system, seed))
        return self.study.seeds

    def members(self, system: System, seed: int) -> tuple[int, ...]:
        """Seeds of the fine-tuned models in an ensemble; () where it would share a member with another, or lack one."""
        at, size = self.study.seeds.index(seed), system.settings.members
        found = self.study.seeds[at : at + size]
        return found if at % size == 0 and len(found) == size else ()

    def built_on(self, task: str, system: System, seed: int | str) -> list[tuple[str, int | str]]:
        """Finished systems, with their seeds, that a fine-tuning or an ensemble reads.

        Raises ValueError for few shots on a task without a merge whose FLOPs they could take.
        """
        if system.program == "ensemble":
            return [(f"finetune.{system.model}", member) for member in self.members(system, seed)]
        if isinstance(system.settings, FewShotSystem):
            merges = [run for run in self._merges_of(task) if run.seed in (seed, ALL_SEEDS)]
            found = [(run.system.name, run.seed) for run in merges if run.system.pair.large == system.model]
            if not found:
                left = f"no merge into {system.model} is left on {task}"
                raise ValueError(f"systems.fewshot: {left}; exclude {task}/{system.name}/* too, or keep one")
            return found
        return [(system.parent, seed if self.systems[system.parent].seeded else ALL_SEEDS)] if system.parent else []

    def merged(self, task: str, system: System, seed: int | str) -> list[tuple[str, str, int]]:
        """Task, system and seed of every fine-tuned model that goes into a soup, or into a multitask encoder."""
        if system.program == "soup":
            seeds = range(MEMBER_SEEDS, MEMBER_SEEDS + system.settings.members)
            return [(task, f"member.{system.model}", member) for member in seeds]
        return [(own, f"finetune.{system.model}", seed) for own in self.study.tasks]

    @functools.cache  # noqa: B019 - one grid per process
    def _merges_of(self, task: str) -> list[Run]:
        return [run for run in self.runs if run.task == task and run.system.kind in registry.KINDS]

    def pair(self, name: str) -> Pair:
        return next(pair for pair in self.pairs if pair.name == name)

    def max_tokens(self, task: str, model: str) -> int:
        own = self.transfers[task][1].max_tokens if task in self.transfers else None
        return own or self.study.models[model].finetune[self.trained_on(task)].max_tokens

    def reads_as(self, system: System) -> str:
        """The model in whose tokens `evaluate` gives texts to a system.

        Merges see texts as the large model does; a system without models (majority) as the first large one would.
        """
        return system.model or (system.pair or self.study.pairs[0]).large

    def check_sources(self) -> None:
        """Raise ValueError if a local source is missing or has the wrong columns; reads headers, not rows."""
        for name, task in self.study.tasks.items():
            if isinstance(task.source, FileData):
                source_files(task.source, task.row(name), f"tasks.{name}.source")
        for task, (name, transfer) in self.transfers.items():
            if isinstance(transfer.source, FileData):
                source_files(transfer.source, self.row(task), f"transfer.{name}.source", (transfer.split,))
        if self.study.calibration.file:
            self._calibration_text()
        for name, model in self.study.models.items():
            if isinstance(model.source, PathModel | PackageModel):
                self.check_local_model(name, model_files(model.source, f"models.{name}.source")[1])

    def check_local_model(self, name: str, config: Path) -> None:
        """Raise ValueError if a local model is no BERT, or cannot hold or teach what the study asks of it."""
        shape = Shape.of(config.parent)
        for model in (name, *self._models_like(name)):
            for task, settings in self.study.models[model].finetune.items():
                if settings.max_tokens > shape.positions:
                    where = f"models.{model}.finetune.{task}.max_tokens"
                    raise ValueError(f"{where}: {settings.max_tokens}; {name} has {shape.positions} positions")
        for transfer, spec in self.study.transfer.items():
            if (spec.max_tokens or 0) > shape.positions:
                where = f"transfer.{transfer}.max_tokens"
                raise ValueError(f"{where}: {spec.max_tokens}; {name} has {shape.positions} positions")
        for pair in self.pairs:
            if name in (pair.large, pair.small):
                self._check_pair_shapes(pair)
        for student, model in self.study.models.items():
            if isinstance(model.source, DistilledModel) and model.source.teacher == name:
                try:
                    check_shapes(shape, replace(shape, **model.source.shape.model_dump()))
                except ValueError as error:
                    raise ValueError(f"models.{student}.source.shape: {error}") from None

    def _check_pair_shapes(self, pair: Pair) -> None:
        """Raise ValueError if both models of a pair are here and one cannot go into the other."""
        sources = [self._source_of_shape(model) for model in (pair.small, pair.large)]
        if not all(isinstance(source, PathModel | PackageModel) for source in sources):
            return
        small, large = (Shape.of(local_folder(source, "models")) for source in sources)
        for what in ("positions", "types", "vocabulary"):
            if getattr(small, what) != getattr(large, what):
                raise ValueError(
                    f"pairs: {pair.small} has {getattr(small, what)} {what}, {pair.large} {getattr(large, what)}; "
                    "a merge needs as many"
                )
        for what in ("layers", "width", "ffn"):
            if getattr(small, what) > getattr(large, what):
                raise ValueError(
                    f"pairs: {pair.small} has {what} {getattr(small, what)}, more than {pair.large} with "
                    f"{getattr(large, what)}; swap the two roles"
                )

    def _models_like(self, name: str) -> list[str]:
        return [
            m for m, spec in self.study.models.items() if isinstance(spec.source, Like) and spec.source.like == name
        ]

    def _source_of_shape(self, name: str) -> Any:
        """Source of the model whose shape a model has: its own, or that of the one it is like."""
        source = self.study.models[name].source
        return self.study.models[source.like].source if isinstance(source, Like) else source

    @functools.cache  # noqa: B019 - one grid per process
    def data(self, task: str) -> str:
        row = self.row(task)
        if task in self.transfers:
            name, transfer = self.transfers[task]
            source = _content(transfer.source, row, f"transfer.{name}.source", (transfer.split,))
            settings = [transfer.split, transfer.limits.model_dump(), transfer.labels]
            return _hash("transfer data", source, *settings, row.text, row.label, row.labels)
        spec = self.study.tasks[task]
        source = _content(spec.source, row, f"tasks.{task}.source")
        return _hash("data", source, spec.limits.model_dump(), row.text, row.label, row.labels, row.groups)

    @functools.cache  # noqa: B019
    def model(self, model: str) -> str:
        source = self.study.models[model].source
        if isinstance(source, RandomModel):
            return _hash("initialise", self.model(source.like), source.seed)
        texts = [self.data(task) for task in self.study.tasks] if isinstance(source, Made) else []
        if isinstance(source, MaskedModel):
            inputs = [self.model(source.like), *texts, self.study.launch.of_one_process()]
            return _hash("pretrain", source.options.model_dump(), source.seed, *inputs)
        if isinstance(source, DistilledModel):
            inputs = [self.model(source.teacher), *texts, self.study.launch.of_one_process()]
            return _hash("distil", source.shape.model_dump(), source.options.model_dump(), source.seed, *inputs)
        if isinstance(source, HubModel):
            return _hash("model", source.model_dump())
        found = model_files(source, f"models.{model}.source")
        return _hash("model", {path.name: files.sha256(path) for path in found})

    @functools.cache  # noqa: B019
    def tokens(self, task: str, tokenizer: str) -> str:
        return _hash("tokens", self.data(task), self.model(tokenizer))

    def _tokens_for(self, task: str, model: str) -> list[Any]:
        return [self.tokens(task, self.study.tokenizer_of(model)), self.max_tokens(task, model)]

    @functools.cache  # noqa: B019
    def finetune(self, task: str, model: str, seed: int) -> str:
        settings = self.study.models[model].finetune[task]
        own = self._finetuning(task, model, settings, seed)
        return _hash("finetune", own, settings.grid.model_dump()) if settings.grid else own

    def _finetuning(self, task: str, model: str, settings: FineTuning, seed: int) -> str:
        primary = self.study.tasks[task].row(task).primary_metric
        inputs = [self._tokens_for(task, model), self.model(model), self.study.launch.of_finetuning()]
        return _hash("finetune", settings.model_dump(exclude={"grid"}), primary, seed, *inputs)

    def trials(self, task: str, model: str) -> list[tuple[str, int]]:
        """Systems, with their seeds, that try the hyperparameters of a model's grid on a task."""
        settings = self.study.models[model].finetune[task]
        seeds = range(TRIAL_SEEDS, TRIAL_SEEDS + settings.grid.seeds) if settings.grid else ()
        return [(_trial_name(model, tried), seed) for tried in settings.tried() for seed in seeds]

    def read_by_tuning(self, task: str, system: System, seed: int | str) -> list[tuple[str, int | str]]:
        """All finished systems, with their seeds, that a fine-tuning or an ensemble reads."""
        trials = [] if system.kind == TRIAL or system.program == "ensemble" else self.trials(task, system.model)
        return [*trials, *self.built_on(task, system, seed)]

    @functools.cache  # noqa: B019
    def embed(self, task: str, model: str) -> str:
        return _hash("embed", self._tokens_for(task, model), self.model(model), self._inference())

    @functools.cache  # noqa: B019
    def embed_layers(self, task: str, pair: str) -> str:
        large, small = self.pair(pair).large, self.pair(pair).small
        inputs = [self._tokens_for(task, large), self.model(large), self.model(small)]
        return _hash("embed_layers", *inputs, self._inference())

    def _inference(self) -> dict[str, Any]:
        """What changes a forward pass: inference is always in fp32."""
        return self.study.launch.model_dump(include={"device", "threads"})

    @functools.cache  # noqa: B019
    def probe(self, task: str, model: str, pooling: str) -> str:
        ridge = self.study.systems.probe.ridge if self.study.systems.probe else ()
        primary = self.study.tasks[task].row(task).primary_metric
        return _hash("probe", self.embed(task, model), pooling, ridge, primary)

    @functools.cache  # noqa: B019
    def calibrate(self, task: str, pair: str, depth: str) -> str:
        large, small = self.pair(pair).large, self.pair(pair).small
        inputs = [self._tokens_for(task, large), self.model(large), self.model(small)]
        settings = {"tokens": self.study.calibration.tokens, **self._calibration_text()}
        return _hash("calibrate", settings, depth, *inputs, self._inference())

    @functools.cache  # noqa: B019
    def _calibration_text(self) -> dict[str, str]:
        """sha256 of the study's own calibration text; empty for the tasks' train texts, which have fingerprints."""
        path = self.study.calibration.file
        if path is None:
            return {}
        if not path.is_file():
            raise ValueError(f"calibration.text: {path} is missing; a file with one text per line is needed")
        return {"text": files.sha256(path)}

    @functools.cache  # noqa: B019
    def sweep(self, task: str, merge: str, pair: str, seed: int) -> str:
        way = self.merges[merge]
        inputs = [self.finetune(task, self.pair(pair).small, seed), self.embed(task, self.pair(pair).large)]
        if way.depth:
            inputs.append(self.calibrate(task, pair, way.depth))
        if "texts" in registry.facts(way.method).needs:
            inputs += self._calibration_text().values()
        return _hash("sweep", way.method, way.options, way.change, way.settings.fit_rows, *inputs)

    @functools.cache  # noqa: B019
    def model_statistics(self, task: str, system: str, seed: int, statistic: str) -> str:
        model, examples = self.systems[system].model, self.study.calibration.examples
        inputs = [self.made(task, system, seed), self._tokens_for(task, model), self._inference()]
        return _hash("model_statistics", statistic, examples, *inputs)

    @functools.cache  # noqa: B019
    def encoder(self, system: str, seed: int) -> str:
        """Fingerprint of the encoder that a multitask system has for all tasks."""
        primary = {task: spec.row(task).primary_metric for task, spec in self.study.tasks.items()}
        return _hash("encoder", primary, *self._same_shape("", self.systems[system], seed))

    def _same_shape(self, task: str, system: System, seed: int | str) -> list[Any]:
        """What a merge of models of one shape depends on."""
        models = self.merged(task, system, seed)
        statistic = statistic_of(system)
        found = [self.model_statistics(*one, statistic) for one in models] if statistic else []
        return [same_shape_settings(system), *(self.made(*one) for one in models), *found, self._inference()]

    @functools.cache  # noqa: B019
    def has_sweep(self, merge: str) -> bool:
        """Whether several heads share the merged bodies, which a step of its own then runs; one head runs its own."""
        return len({s.head for s in self.systems.values() if s.merge == merge and s.head}) > 1

    @functools.cache  # noqa: B019
    def made(self, task: str, system: str, seed: int | str) -> str:
        """Fingerprint of a system's build.json and model."""
        spec = self.systems[system]
        primary = self.study.tasks[task].row(task).primary_metric
        if spec.program in ("finetune", "fewshot", "warm_start", "ensemble"):
            if spec.kind == TRIAL:
                tried = self.study.models[spec.model].finetune[task].with_choice(**spec.settings.model_dump())
                return self._finetuning(task, spec.model, tried, seed)
            inputs = [self.made(task, *other) for other in self.built_on(task, spec, seed)]
            if spec.program == "ensemble":
                return _hash("ensemble", primary, *inputs, self._inference())
            own = self.finetune(task, spec.model, seed)
            if spec.settings is None:
                return own
            # Of a warm start, its merge and head are in `inputs`, and other numbers of steps are other systems.
            settings = spec.settings.model_dump(exclude={"merge", "head", "steps"})
            return _hash(type(spec.settings).__name__, settings, spec.steps, own, *inputs)
        if spec.program == "soup":
            return _hash("soup", primary, *self._same_shape(task, spec, seed))
        if spec.program == "multitask":
            return _hash("multitask", primary, self.encoder(system, seed))
        if spec.program == "probe":
            return self.probe(task, spec.model, spec.pooling)
        if spec.program == "majority":
            return _hash("majority", self.data(task), primary)
        inputs = [primary, self.embed(task, spec.pair.large)]
        if spec.seeded:
            inputs.append(self.finetune(task, spec.pair.small, seed))
        if spec.merge and registry.facts(spec.method).heads:
            inputs.append(self.sweep(task, spec.merge, spec.pair.name, seed))
        if spec.merge and not spec.seeded:
            inputs.append(self.model(spec.pair.small))
        if spec.merge and not spec.head and "texts" in registry.facts(spec.method).needs:
            inputs += self._calibration_text().values()
        if reads_layers(spec):
            inputs.append(self.embed_layers(task, spec.pair.name))
        inputs += [self.probe(task, self.systems[name].model, self.systems[name].pooling) for name in probes_of(spec)]
        return _hash("merge", spec.method, spec.head, effective(spec), *inputs, self._inference())

    @functools.cache  # noqa: B019
    def evaluated(self, task: str, system: str, seed: int | str) -> str:
        """Fingerprint of a run.json."""
        inputs = [self.made(self.trained_on(task), system, seed), self.row(task).metrics]
        if task in self.transfers:
            inputs += self._tokens_for(task, self.reads_as(self.systems[system]))
        return _hash("evaluate", *inputs)

    def measured(self, task: str, runs: Iterable[Run]) -> str:
        """Fingerprint of what the models of these runs, which stand for all architectures of a task, cost to use."""
        made = {run.id: self.made(task, run.system.name, run.seed) for run in runs}
        return _hash("measure", made, self.study.cost.model_dump(exclude={"measure"}), self._inference())

    def gathered(self) -> str:
        """Fingerprint of the tables: that of all runs."""
        return _hash("gather", *(self.evaluated(run.task, run.system.name, run.seed) for run in self.runs))

    def transferred(self) -> str:
        """Fingerprint of transfer.csv: that of its runs."""
        return _hash("transfer", *(self.evaluated(run.task, run.system.name, run.seed) for run in self.transfer_runs))


def effective(system: System) -> dict[str, Any]:
    """All options of a merge or control that its making depends on, defaults filled in."""
    options = registry.checked_options(system.method, system.settings.options) if system.merge else {}
    if system.head:
        options |= {"fit_rows": system.settings.fit_rows, "ridge": list(system.settings.ridge)}
    return options


def probes_of(system: System) -> list[str]:
    """Names of the probes that a merge builds on."""
    needs = registry.facts(system.method).needs if system.merge else ()
    roles = [need.removeprefix("probe.") for need in needs if need.startswith("probe.")]
    pooling = registry.checked_options(system.method, system.settings.options)["probe"] if roles else None
    return [f"probe.{pooling}.{getattr(system.pair, role)}" for role in roles]


def reads_layers(system: System) -> bool:
    """Whether a merge reads the large model's states at the mapped layers."""
    return bool(system.merge) and "layers" in registry.facts(system.method).needs


def same_shape_settings(system: System) -> dict[str, Any]:
    """What a soup or a multitask system is merged with, defaults filled in."""
    facts, settings = table.of_study(system.method), system.settings
    return {
        "method": facts.name,
        "strengths": list(settings.strengths or (facts.strength,)),
        "weights": list(settings.weights) if settings.weights else None,
        **table.checked_options(facts.name, settings.options),
    }


def statistic_of(system: System) -> str | None:
    """What a merge of models of one shape must know of each: `fisher`, `gram` or nothing."""
    facts = table.of_study(system.method)
    return Path(facts.statistics).stem if facts.statistics else None


def _content(source: HubData | FileData | GeneratedData, row: TaskRow, where: str, *splits: Any) -> dict[str, Any]:
    """What the rows of a data set depend on: the source as configured, or the sha256 of local files."""
    if isinstance(source, FileData):
        found = source_files(source, row, where, *splits)
        return {"kind": source.kind, **{split: files.sha256(path) for split, path in found.items()}}
    version = {"version": generated.VERSION} if isinstance(source, GeneratedData) else {}
    return source.model_dump() | version


def _systems(study: Study, merges: dict[str, Merge]) -> list[System]:
    """All systems in the order of the tables; raises ValueError if two have one name."""
    found: list[System] = []
    spec = study.systems
    models = list(dict.fromkeys(m for pair in study.pairs for m in (pair.large, pair.small)))
    found += [System(f"finetune.{m}", "finetune", "train", "finetune", True, model=m) for m in models]
    others = dict.fromkeys(pair.small for pair in study.control_pairs)
    found += [System(f"finetune.{m}", "control", "train", "finetune", True, model=m) for m in others]
    if spec.majority is not None:
        found.append(System("majority", "baseline", "train", "majority", False))
    if spec.probe is not None:
        found += [
            System(f"probe.{pooling}.{m}", "probe", "train", "probe", False, model=m, pooling=pooling)
            for m in models
            for pooling in spec.probe.pooling
        ]
    found += _rivals(study)
    for pair in study.pairs:
        for name, merge in merges.items():
            found += _merged(name, merge, pair)
        control = spec.control.head_only
        for head in control.heads if control else ():
            found.append(
                System(
                    f"control.head-only.{head}.{pair.name}",
                    "control",
                    "train" if head == "labelled" else "select",
                    "merge",
                    head != "labelled",  # the labelled head sees nothing of the fine-tuned small model
                    pair=pair,
                    head=head,
                    settings=control,
                )
            )
    for pair in study.control_pairs:
        for name in dict.fromkeys(spec.control.other_small.of):
            found += _merged(name, merges[name], pair, spec.control.other_small)
    for pair in study.pairs if spec.warm_start else ():
        found += _warm_starts(pair, spec.warm_start)
    found += _same_shape_systems(study)
    found += _trials(study, [*models, *others])
    names = [system.name for system in found]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"systems: two systems have the name {name}; give one of them another name")
    return found


def _rivals(study: Study) -> list[System]:
    """Other ways to a good model, that merges are compared with: fine-tunings, and ensembles of them."""
    spec, tuned = study.systems, partial(System, kind="finetune", label_use="train", seeded=True)
    found = []
    for large in dict.fromkeys(pair.large for pair in study.pairs):
        own = {"lora": spec.lora, "fewshot": spec.fewshot, "ensemble": spec.ensemble}
        found += [
            tuned(f"{name}.{large}", program=name if name != "lora" else "finetune", model=large, settings=settings)
            for name, settings in own.items()
            if settings
        ]
    for pair in study.pairs:
        taught = {
            f"distil.{pair.small}-from-{pair.large}": (spec.distil, pair.small, pair.large),
            f"weak-to-strong.{pair.small}-to-{pair.large}": (spec.weak_to_strong, pair.large, pair.small),
        }
        found += [
            tuned(name, program="finetune", model=model, pair=pair, settings=settings, parent=f"finetune.{teacher}")
            for name, (settings, model, teacher) in taught.items()
            if settings
        ]
    return found


def _same_shape_systems(study: Study) -> list[System]:
    """Soups with the fine-tunings that go into them, and encoders of all tasks."""
    found, large = [], tuple(dict.fromkeys(pair.large for pair in study.pairs))
    soup, multitask = study.systems.soup, study.systems.multitask
    for model in (soup.models or large) if soup else ():
        for name, merge in soup.methods.items():
            settings = merge.model_copy(update={"members": merge.members or soup.members})
            own = {"model": model, "method": merge.method or name, "settings": settings}
            found.append(System(f"soup.{name}.{model}", "soup", "train", "soup", False, **own))
        member = MemberSystem()
        found.append(System(f"member.{model}", MEMBER, "train", "finetune", True, model=model, settings=member))
    for model in (multitask.models or large) if multitask else ():
        for name, merge in multitask.methods.items():
            own = {"model": model, "method": merge.method or name, "settings": merge}
            found.append(System(f"multitask.{name}.{model}", "multitask", "train", "multitask", True, **own))
    return found


def _warm_starts(pair: Pair, spec: WarmStartSystem) -> list[System]:
    """Short fine-tunings of the large model from four starts, in as many steps each."""
    way = f"{spec.merge}.{spec.head}.{pair.name}"
    starts = {
        "random-head": None,
        "closed-form-head": f"control.head-only.{spec.head}.{pair.name}",
        "merged": f"merge.{way}",
        "shuffled": f"control.shuffled.{way}",
    }
    return [
        System(
            f"warm-start.{arm}.{steps}.{way}",
            "finetune",
            "train",
            "warm_start",
            True,
            model=pair.large,
            pair=pair,
            settings=spec,
            parent=start,
            steps=steps,
        )
        for arm, start in starts.items()
        for steps in spec.steps
    ]


def _trials(study: Study, models: list[str]) -> list[System]:
    """Fine-tunings that only try hyperparameters: they are no runs."""
    found = {}
    for model in models:
        for settings in study.models[model].finetune.values():
            for tried in settings.tried():
                name = _trial_name(model, tried)
                choice = TrialSystem(learning_rate=tried.learning_rate, epochs=tried.epochs)
                found[name] = System(name, TRIAL, "train", "finetune", True, model=model, settings=choice)
    return list(found.values())


def _trial_name(model: str, tried: FineTuning) -> str:
    return f"trial.{model}.rate-{tried.learning_rate:g}.epochs-{tried.epochs}"


def _merges(study: Study) -> dict[str, Merge]:
    """All merges by key: those under systems.merge, then `shuffled.<key>` and `random.<key>` of the controls."""
    found = {name: Merge(merge.method or name, merge) for name, merge in study.systems.merge.items()}
    own = dict(found)
    for change in ("shuffled", "random"):
        control = getattr(study.systems.control, change)
        for name in control.of if control else ():
            settings = own[name].settings
            settings = settings.model_copy(update={"heads": control.heads or settings.heads})
            if f"{change}.{name}" in found:
                raise ValueError(f"systems.merge.{change}.{name}: the control of {name} has this name; take another")
            found[f"{change}.{name}"] = Merge(own[name].method, settings, change)
    return found


def _merged(name: str, merge: Merge, pair: Pair, other: OtherSmallControl | None = None) -> list[System]:
    """The systems of one merge of one pair; `other` is the control whose pair it is, if it is no pair of the study."""
    facts = registry.facts(merge.method)
    prefix = "control.other-small" if other else "merge" if merge.change == "finetuned" else "control"
    return [
        System(
            ".".join(part for part in (prefix, name, head, pair.name) if part),
            facts.kind if prefix == "merge" else "control",
            "train" if head == "labelled" else facts.label_use,
            "merge",
            registry.depends_on_finetuning(merge.method, merge.options),
            pair=pair,
            merge=name,
            method=facts.name,
            head=head,
            settings=merge.settings,
        )
        for head in (other and other.heads) or merge.settings.heads or facts.heads or (None,)
    ]


def _hash(step: str, *parts: Any) -> str:
    text = json.dumps([RECIPES_OF.get(step, RECIPES), step, *parts], sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
