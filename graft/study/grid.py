"""The run grid: the runs of a study, and the fingerprints of all the steps that lead to them."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from graft.config.models import (
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
)
from graft.config.sections import Section
from graft.config.sources import FileData, GeneratedData, HubData
from graft.config.study import MEMBER_SEEDS, TRIAL_SEEDS, Study
from graft.config.systems import FewShotSystem
from graft.config.transfer import full_name
from graft.encoders.local_models import local_folder, model_files
from graft.io import files
from graft.io.names import check_patterns, common_pair, system_named
from graft.registry import methods
from graft.registry.shapes import Shape, check_shapes
from graft.registry.tasks import TaskRow
from graft.study.grid_systems import (
    MEMBER,
    TRIAL,
    System,
    effective,
    merges_of,
    probes_of,
    reads_layers,
    same_shape_settings,
    statistic_of,
    systems_of,
    trial_name,
)
from graft.study.paths import Paths
from graft.tasks import generated
from graft.tasks.readers import read_split, source_files
from graft.tasks.texts import read_texts
from graft.tasks.transferred import read_report

# Bump to invalidate older results when the meaning of steps changes: RECIPES for all steps, RECIPES_OF for single ones.
RECIPES = 3
RECIPES_OF = {"probe": 4, "finetune": 4, "merge": 5, "sweep": 4, "WarmStartSystem": 4}
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
    """Systems, runs and fingerprints of one study.

    A fingerprint hashes the part of the config that a step depends on, and the fingerprints of its inputs; external
    data and weights enter by sha256 or revision.
    """

    def __init__(self, study: Study) -> None:
        self.study = study
        self.pairs = (*study.pairs, *study.control_pairs)
        self.merges = merges_of(study)
        self.systems = {system.name: system for system in systems_of(study, self.merges)}
        every = [
            Run(task, system, seed)
            for task in study.tasks
            for system in self.systems.values()
            for seed in self._seeds_of(system)
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

    def trained_on(self, task: str) -> str:
        """The task on which the systems of a task or transfer were trained."""
        return self.transfers[task][1].task if task in self.transfers else task

    def row(self, task: str) -> TaskRow:
        """Classes, metrics and columns of a task or transfer."""
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
        """Seeds of the fine-tuned models in an ensemble; () if it would share a member with another or lack one."""
        at, size = self.study.seeds.index(seed), system.settings.members
        found = self.study.seeds[at : at + size]
        return found if at % size == 0 and len(found) == size else ()

    def built_on(self, task: str, system: System, seed: int | str) -> list[tuple[str, int | str]]:
        """Finished systems, with their seeds, that a fine-tuning or an ensemble builds on.

        Raises ValueError for a few-shot system on a task without a merge to take its FLOPs budget from.
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
        return [run for run in self.runs if run.task == task and run.system.kind in methods.KINDS]

    def pair(self, name: str) -> Pair:
        return next(pair for pair in self.pairs if pair.name == name)

    def max_tokens(self, task: str, model: str) -> int:
        own = self.transfers[task][1].max_tokens if task in self.transfers else None
        return own or self.study.models[model].finetune[self.trained_on(task)].max_tokens

    def reads_as(self, system: System) -> str:
        """The model whose tokenization `evaluate` uses for a system.

        Merges use that of the large model; a system without models (majority) that of the first pair's large model.
        """
        return system.model or (system.pair or self.study.pairs[0]).large

    def check_sources(self, rows: bool = True) -> None:
        """Raise ValueError if a local source is missing, if a file takes the place of the results folder, or, with
        `rows`, if a text or label is invalid."""
        results = Paths.of(self.study.name).root
        if results.exists() and not results.is_dir():
            raise ValueError(f"name: {results} is a file; take another name, or move the file")
        for name, task in self.study.tasks.items():
            if isinstance(task.source, FileData):
                found = source_files(task.source, f"tasks.{name}.source")
                for split in found if rows else ():
                    read_split(task.source, task.row(name), split, f"tasks.{name}.source")
        for name, transfer in self.transfers.values():
            if isinstance(transfer.source, FileData):
                source_files(transfer.source, f"transfer.{name}.source", (transfer.split,))
                if rows:
                    read_report(name, transfer, self.row(transfer.task))
        if self.study.calibration.file:
            self._calibration_text()
            if rows:
                read_texts(self.study.calibration.file)
        for name, model in self.study.models.items():
            if isinstance(model.source, PathModel | PackageModel):
                self.check_local_model(name, model_files(model.source, f"models.{name}.source")[1])

    def check_local_model(self, name: str, config: Path) -> None:
        """Raise ValueError if a local model is no BERT, or does not fit the study's texts, pairs or students."""
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
        """Raise ValueError if both models of a pair are local and the small one cannot be merged into the large one."""
        sources = [self._source_of_shape(model) for model in (pair.small, pair.large)]
        if not all(isinstance(source, PathModel | PackageModel) for source in sources):
            return
        folders = [local_folder(source, "models") for source in sources]
        small, large = map(Shape.of, folders)
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
        # Imported here, since the environment that makes tables has no tokenizers (envs/analysis.yaml).
        from graft.tasks import alike

        alike.check_alike(*folders[::-1])

    def _models_like(self, name: str) -> list[str]:
        return [
            m for m, spec in self.study.models.items() if isinstance(spec.source, Like) and spec.source.like == name
        ]

    def _source_of_shape(self, name: str) -> Any:
        """Source of the model that gives a model its shape: its own, or that of the model it is like."""
        source = self.study.models[name].source
        return self.study.models[source.like].source if isinstance(source, Like) else source

    @functools.cache  # noqa: B019 - one grid per process
    def data(self, task: str) -> str:
        row = self.row(task)
        if task in self.transfers:
            name, transfer = self.transfers[task]
            source = _content(transfer.source, f"transfer.{name}.source", (transfer.split,))
            settings = [transfer.split, transfer.limits.model_dump(), transfer.labels]
            return _hash("transfer data", source, *settings, row.text, row.label, row.labels)
        spec = self.study.tasks[task]
        source = _content(spec.source, f"tasks.{task}.source")
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
        primary = self.row(task).primary_metric
        inputs = [self._tokens_for(task, model), self.model(model), self.study.launch.of_finetuning()]
        return _hash("finetune", settings.model_dump(exclude={"grid"}), primary, seed, *inputs)

    def trials(self, task: str, model: str) -> list[tuple[str, int]]:
        """Trial systems, with their seeds, of a model's hyperparameter grid on a task."""
        settings = self.study.models[model].finetune[task]
        seeds = range(TRIAL_SEEDS, TRIAL_SEEDS + settings.grid.seeds) if settings.grid else ()
        return [(trial_name(model, tried), seed) for tried in settings.tried() for seed in seeds]

    def read_by_tuning(self, task: str, system: System, seed: int | str) -> list[tuple[str, int | str]]:
        """All finished systems, with their seeds, that a fine-tuning or an ensemble reads, trials included."""
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
        """Launch settings that affect inference, which is always in fp32."""
        return self.study.launch.model_dump(include={"device", "threads"})

    @functools.cache  # noqa: B019
    def probe(self, task: str, model: str, pooling: str) -> str:
        ridge = self.study.systems.probe.ridge if self.study.systems.probe else ()
        primary = self.row(task).primary_metric
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
        if "texts" in methods.facts(way.method).needs:
            inputs += self._calibration_text().values()
        return _hash("sweep", way.method, way.options.values(), way.change, way.settings.fit_rows, *inputs)

    @functools.cache  # noqa: B019
    def model_statistics(self, task: str, system: str, seed: int, statistic: str) -> str:
        model, examples = self.systems[system].model, self.study.calibration.examples
        inputs = [self.made(task, system, seed), self._tokens_for(task, model), self._inference()]
        return _hash("model_statistics", statistic, examples, *inputs)

    @functools.cache  # noqa: B019
    def encoder(self, system: str, seed: int) -> str:
        """Fingerprint of the encoder that a multitask system shares among all tasks."""
        primary = {task: spec.row(task).primary_metric for task, spec in self.study.tasks.items()}
        return _hash("encoder", primary, *self._same_shape("", self.systems[system], seed))

    def _same_shape(self, task: str, system: System, seed: int | str) -> list[Any]:
        """Everything that a merge of same-shape models depends on."""
        models = self.merged(task, system, seed)
        statistic = statistic_of(system)
        found = [self.model_statistics(*one, statistic) for one in models] if statistic else []
        return [same_shape_settings(system), *(self.made(*one) for one in models), *found, self._inference()]

    @functools.cache  # noqa: B019
    def has_sweep(self, merge: str) -> bool:
        """Whether several heads share a merge's bodies, run by a separate step; a single head runs its own."""
        return len({s.head for s in self.systems.values() if s.merge == merge and s.head}) > 1

    @functools.cache  # noqa: B019
    def made(self, task: str, system: str, seed: int | str) -> str:
        """Fingerprint of a system's build.json and model."""
        spec = self.systems[system]
        primary = self.row(task).primary_metric
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
            # A warm start's merge and head are part of `inputs`; each number of steps is a system of its own.
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
        if spec.merge and methods.facts(spec.method).heads:
            inputs.append(self.sweep(task, spec.merge, spec.pair.name, seed))
        if spec.merge and not spec.seeded:
            inputs.append(self.model(spec.pair.small))
        if spec.merge and not spec.head and "texts" in methods.facts(spec.method).needs:
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
        """Fingerprint of the cost measurements of these runs' models, which represent all architectures of a task."""
        made = {run.id: self.made(task, run.system.name, run.seed) for run in runs}
        return _hash("measure", made, self.study.cost.model_dump(exclude={"measure"}), self._inference())

    def gathered(self) -> str:
        """Fingerprint of the tables, over all runs."""
        return _hash("gather", *(self.evaluated(run.task, run.system.name, run.seed) for run in self.runs))

    def transferred(self) -> str:
        """Fingerprint of transfer.csv, over its runs."""
        return _hash("transfer", *(self.evaluated(run.task, run.system.name, run.seed) for run in self.transfer_runs))


def _content(source: HubData | FileData | GeneratedData, where: str, *splits: Any) -> dict[str, Any]:
    """Identify the rows of a data set: by its configured source, or by the sha256 of local files."""
    if isinstance(source, FileData):
        found = source_files(source, where, *splits)
        return {"kind": source.kind, **{split: files.sha256(path) for split, path in found.items()}}
    version = {"version": generated.VERSION} if isinstance(source, GeneratedData) else {}
    return source.model_dump() | version


def _chosen(section: Section, key: str) -> list[str]:
    """Patterns of a section that are not defaults."""
    return [pattern for pattern in getattr(section, key) if pattern not in type(section).model_fields[key].default]


def _hash(step: str, *parts: Any) -> str:
    text = json.dumps([RECIPES_OF.get(step, RECIPES), step, *parts], sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
