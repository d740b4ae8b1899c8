"""The study config: typed, checked before any job runs, and free of torch, since Snakemake itself loads it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from graft.config.launch import Launch
from graft.config.models import DistilledModel, Like, Made, Model, Pair
from graft.config.section import Fraction, Name, Positive, Section, Seed
from graft.config.sources import FileData, GeneratedData, HubData
from graft.config.systems import MergeControl, MergeSystem, SameShapeMerge, SoupMerge, Systems
from graft.config.transfer import Transfer, check_transfers
from graft.io import plain_text
from graft.io.names import closest, matches, meant, shown, unknown
from graft.io.strict_yaml import read_yaml, typed
from graft.registry import methods
from graft.registry.layouts import LAYOUTS
from graft.registry.tasks import METRICS, TASKS, TaskRow

# First seed of the trials of hyperparameters.
TRIAL_SEEDS = 1_000_000
# First seed of the members of soups, which is also that of their common head.
MEMBER_SEEDS = 2_000_000
MOST_SEEDS = 1000
# Pydantic appends this to the location of a key that is itself invalid.
_KEY = "[key]"


class Limits(Section):
    """Maximum numbers of rows, drawn with a fixed seed."""

    train: Positive | None = None
    """Rows kept for training, after `select` has been carved out."""
    select: Positive = 1000
    """Rows carved out of the published train split for making choices (never more than a tenth of it)."""
    report: Positive | None = None
    """Rows of the published dev split."""


class Task(Section):
    """A data set and its metrics. `sst2`, `stsb` and `rte` need only a source; other tasks must name their columns."""

    source: HubData | FileData | GeneratedData = Field(discriminator="kind")
    limits: Limits = Limits()
    text: tuple[str, ...] | None = None
    """Text columns: one, or two for a pair of sentences."""
    label: str | None = None
    """Label column."""
    labels: tuple[str, ...] | None = None
    """Class names in the order of their ids; leave it out for a score."""
    metrics: tuple[str, ...] | None = None
    """Metrics to report; the first is the primary one, by which choices are made."""
    groups: Literal["contained", "shared"] | None = None
    """How `select` is kept apart from `train`: no phrase inside another (contained), or no text in both (shared)."""

    def row(self, name: str) -> TaskRow:
        """Return the task table's row for `name`, overridden by this section's columns and metrics."""
        given = {k: v for k, v in self.model_dump().items() if k in TaskRow.__dataclass_fields__ and v is not None}
        if name in TASKS:
            return TASKS[name].replaced(**given)
        missing = [key for key in ("text", "label", "metrics") if key not in given]
        if missing:
            raise ValueError(
                f"{name!r} is not one of the known tasks ({', '.join(TASKS)}), so it also needs {', '.join(missing)}"
            )
        return TaskRow(**given)


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
    """Number of draws in the bootstrap and in the tests."""


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
        for name, task in self.tasks.items():
            self._check_task(name, task)
        for name, model in self.models.items():
            self._check_model(name, model)
        for pair in self.pairs:
            self._check_pair(pair)
        for name, merge in self.systems.merge.items():
            self._check_merge(name, merge)
        for name in ("shuffled", "random", "other_small"):
            self._check_control(f"systems.control.{name.replace('_', '-')}", getattr(self.systems.control, name))
        self._check_other_small()
        self._check_warm_start()
        self._check_soup()
        self._check_multitask()
        if self.systems.fewshot and not self.systems.merge:
            raise ValueError("systems.fewshot: it spends the FLOPs of the best merge, but systems.merge is empty")
        if any(seed >= TRIAL_SEEDS for seed in self.seeds):
            raise ValueError(f"seeds: {TRIAL_SEEDS} and above are reserved for trials and soups; use smaller ones")
        for name in self.statistics.margins:
            _known("statistics.margins", name, self.tasks)
        check_transfers(self.transfer, {name: task.row(name) for name, task in self.tasks.items()})
        return self

    def _check_task(self, name: str, task: Task) -> None:
        try:
            row = task.row(name)
        except ValueError as error:
            raise ValueError(f"tasks.{name}: {error}") from None
        if isinstance(task.source, GeneratedData):
            _check_generated(name, task.source.grammar, row)
        for metric in row.metrics:
            _known(f"tasks.{name}.metrics", metric, METRICS)
            if METRICS[metric] != row.kind:
                raise ValueError(f"tasks.{name}.metrics: {metric} needs {METRICS[metric]}, but the task has {row.kind}")
        if "f1" in row.metrics and len(row.labels or ()) != 2:
            raise ValueError(f"tasks.{name}.metrics: f1 is for two classes; use f1_macro")
        if row.groups == "contained" and len(row.text) != 1:
            raise ValueError(f"tasks.{name}.groups: contained is for tasks with one text; use shared")
        if len(row.text) not in (1, 2):
            raise ValueError(f"tasks.{name}.text: {len(row.text)} columns; name one, or two for a pair")
        if row.labels is not None and len(set(row.labels)) < max(2, len(row.labels)):
            raise ValueError(f"tasks.{name}.labels: {list(row.labels)}; give two or more different names")

    def _check_model(self, name: str, model: Model) -> None:
        if isinstance(model.source, DistilledModel):
            _known(f"models.{name}.source.teacher", model.source.teacher, self.models)
            if isinstance(self.models[model.source.teacher].source, Made):
                raise ValueError(f"models.{name}.source.teacher: {model.source.teacher} is made in this study itself")
            if model.source.shape.width % model.source.shape.heads:
                raise ValueError(f"models.{name}.source.shape: width must be a multiple of heads")
        if isinstance(model.source, Like):
            self._check_like(name, model, model.source.like)
        elif model.tokenizer is not None:
            _known(f"models.{name}.tokenizer", model.tokenizer, self.models)
            if isinstance(self.models[model.tokenizer].source, Made):
                raise ValueError(
                    f"models.{name}.tokenizer: {model.tokenizer} uses another model's tokenizer; name that model"
                )
        for task in model.finetune:
            if task not in self.tasks and task not in TASKS:
                _known(f"models.{name}.finetune", task, self.tasks)

    def _check_like(self, name: str, model: Model, like: str) -> None:
        where = f"models.{name}.source.like"
        _known(where, like, self.models)
        other = self.models[like]
        if isinstance(other.source, Like):
            raise ValueError(f"{where}: {like} is itself like {other.source.like}; name that model")
        if other.role != "small":
            raise ValueError(f"{where}: {like} has the role {other.role}; name a small model")
        if model.role != "small":
            raise ValueError(f"models.{name}.role: {model.role}; it must be small, like {like}")
        if model.tokenizer is not None:
            raise ValueError(f"models.{name}.tokenizer: it always uses the tokenizer of {like}; leave the key out")

    def _check_pair(self, pair: Pair) -> None:
        self._check_member("pairs.large", "large", pair.large)
        self._check_member("pairs.small", "small", pair.small)
        self._check_vocabulary("pairs", pair)
        if self.pairs.count(pair) > 1:
            raise ValueError(f"pairs: {pair.name} appears twice; give each pair once")

    def _check_member(self, where: str, role: str, name: str) -> None:
        _known(where, name, self.models)
        if self.models[name].role != role:
            raise ValueError(f"{where}: {name} has the role {self.models[name].role}; name a {role} model")
        for task in self.tasks:
            if task not in self.models[name].finetune:
                raise ValueError(f"models.{name}.finetune: no hyperparameters for task {task}")

    def _check_vocabulary(self, where: str, pair: Pair) -> None:
        vocabularies = [self.tokenizer_of(name) for name in (pair.large, pair.small)]
        if vocabularies[0] != vocabularies[1]:
            source = self.models[pair.small].source
            small = source.like if isinstance(source, Like) else pair.small
            raise ValueError(
                f"{where}: {pair.large} and {pair.small} use different tokenizers, but a merge needs one vocabulary; "
                f"set models.{small}.tokenizer to {vocabularies[0]} (the two will be compared)"
            )

    def _check_merge(self, name: str, merge: MergeSystem) -> None:
        try:
            options = methods.facts(merge.method or name, *methods.KINDS).checked(merge.options)
        except ValueError as error:
            raise ValueError(f"systems.merge.{name}: {error}") from None
        if merge.heads is not None and not options.heads:
            raise ValueError(f"systems.merge.{name}.heads: {options.name} has no choice of heads; leave the key out")
        if any(need.startswith("probe.") for need in options.needs):
            if self.systems.probe is None or options.probe not in self.systems.probe.pooling:
                raise ValueError(
                    f"systems.merge.{name}: needs probe.{options.probe}; add {options.probe} to systems.probe.pooling"
                )

    def _check_control(self, where: str, control: MergeControl | None) -> None:
        for name in control.of if control else ():
            _known(f"{where}.of", name, self.systems.merge)
            method = self.systems.merge[name].method or name
            if not methods.facts(method).heads:
                raise ValueError(f"{where}.of: {name} (method {method}) transfers no change; name a merge with heads")

    def _check_other_small(self) -> None:
        control, where = self.systems.control.other_small, "systems.control.other-small"
        if control is None:
            return
        for name in control.models:
            self._check_member(f"{where}.models", "small", name)
            if any(name == pair.small for pair in self.pairs):
                raise ValueError(f"{where}.models: {name} is the small model of a pair; name a model in no pair")
            projected = [m for m in control.of if self.systems.merge[m].options.get("residual") == "fit_dense"]
            if projected and isinstance(self.models[name].source, Like):
                raise ValueError(
                    f"{where}.of: {projected[0]} uses a distillation's projection (residual: fit_dense), but {name} "
                    "was not distilled; leave it out"
                )
        for pair in self.control_pairs:
            self._check_vocabulary(f"{where}.models", pair)

    def _check_warm_start(self) -> None:
        spec, where = self.systems.warm_start, "systems.warm-start"
        if spec is None:
            return
        _known(f"{where}.merge", spec.merge, self.systems.merge)
        merge, control = self.systems.merge[spec.merge], self.systems.control
        heads = merge.heads or methods.facts(merge.method or spec.merge).heads
        if spec.head not in heads:
            raise ValueError(
                f"{where}.head: {spec.merge} has no head {spec.head}; available: {', '.join(heads) or 'none'}"
            )
        if control.head_only is None or spec.head not in control.head_only.heads:
            raise ValueError(f"{where}: needs control.head-only.{spec.head}; add it to systems.control.head-only")
        shuffled = control.shuffled
        if shuffled is None or spec.merge not in shuffled.of or spec.head not in (shuffled.heads or heads):
            raise ValueError(f"{where}: needs control.shuffled.{spec.merge}.{spec.head}; add it to its `of`")

    def _check_soup(self) -> None:
        spec, where = self.systems.soup, "systems.soup"
        if spec is None:
            return
        self._check_same_shape_models(where, spec.models)
        for name, merge in spec.methods.items():
            if (merge.members or 0) > spec.members:
                raise ValueError(f"{where}.methods.{name}.members: {merge.members}; {where}.members is {spec.members}")
            _check_same_shape(f"{where}.methods.{name}", name, merge, merge.members or spec.members)

    def _check_multitask(self) -> None:
        spec, where = self.systems.multitask, "systems.multitask"
        if spec is None:
            return
        self._check_same_shape_models(where, spec.models)
        if len(self.tasks) < 2:
            raise ValueError(f"{where}: {next(iter(self.tasks))} is the only task; two or more are needed")
        for name, merge in spec.methods.items():
            if (merge.method or name) == methods.GREEDY:
                raise ValueError(f"{where}.methods.{name}: greedy works on one task only; put it under systems.soup")
            _check_same_shape(f"{where}.methods.{name}", name, merge, len(self.tasks))

    def _check_same_shape_models(self, where: str, models: tuple[str, ...] | None) -> None:
        paired = dict.fromkeys(model for pair in self.pairs for model in (pair.large, pair.small))
        for name in models or ():
            _known(f"{where}.models", name, paired)

    @property
    def control_pairs(self) -> tuple[Pair, ...]:
        """The pairs' large models, each with every small model of the control other-small."""
        control = self.systems.control.other_small
        models = control.models if control else ()
        return tuple(dict.fromkeys(Pair(large=pair.large, small=name) for pair in self.pairs for name in models))

    def tokenizer_of(self, model: str) -> str:
        """Return the name of the model whose tokenizer `model` uses."""
        spec = self.models[model]
        if isinstance(spec.source, Like):
            return self.tokenizer_of(spec.source.like)
        if spec.tokenizer is not None:
            return spec.tokenizer
        return self.tokenizer_of(spec.source.teacher) if isinstance(spec.source, DistilledModel) else model

    def margin(self, task: str) -> float | None:
        """Return the difference in the primary metric below which two systems count as equivalent; None if not set."""
        own = self.tasks[task].row(task)
        # The table's margin is for the task's usual primary metric.
        usual = own.margin if task in TASKS and own.primary_metric == TASKS[task].primary_metric else None
        return self.statistics.margins.get(task, usual)

    def keeps(self, run_id: str, ending: str) -> bool:
        """Whether the include and exclude patterns keep this run; `ending`: the suffix that short names omit."""

        def among(patterns: tuple[str, ...]) -> bool:
            return any(matches(run_id, pattern, ending) for pattern in patterns)

        return among(self.include) and not among(self.exclude)


def parse(values: dict[str, Any]) -> Study:
    """Check a config; raises ValueError with one line per problem that names the key and what would be right."""
    try:
        return Study.model_validate(values)
    except ValidationError as error:
        raise ValueError("\n".join(map(_sentence, _causes(error.errors())))) from None


def _causes(problems: list[ErrorDetails]) -> list[ErrorDetails]:
    """Return the problems without those that follow from others: one cause, one line."""
    # Pydantic also reports a sequence with a bad item as too short, and a misspelt key as missing.
    bad = {problem["loc"][:-1] for problem in problems}
    misspelt = [p["loc"] for p in problems if p["type"] == "extra_forbidden"]
    follow = {("missing", (*at[:-1], closest(at[-1], _keys_at(at[:-1])))) for at in misspelt}
    follow |= {("too_short", at) for at in bad}
    told = [p for p in problems if (p["type"], p["loc"]) not in follow]
    # An invalid name may appear in many places.
    first = {p["msg"]: p for p in reversed(told) if "is not a name" in p["msg"]}
    return [p for p in told if first.get(p["msg"], p) is p]


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


def _check_generated(name: str, grammar: str, row: TaskRow) -> None:
    layout = LAYOUTS[grammar]
    for column in row.text:
        _known(f"tasks.{name}.text", column, layout.text)
    _known(f"tasks.{name}.label", row.label, (layout.label,))
    if layout.labels is None:
        if row.labels is not None:
            raise ValueError(f"tasks.{name}.labels: {grammar} has a score, not classes; leave the key out")
        return
    # Classes may be written by name or by number.
    given = row.labels or ()
    if len(given) != 2 or not {"0", "1", *given}.issuperset(layout.labels):
        raise ValueError(f"tasks.{name}.labels: {grammar} has two classes, written {' and '.join(layout.labels)}")


def _check_same_shape(where: str, name: str, merge: SameShapeMerge, count: int) -> None:
    """Raise ValueError unless a method can merge `count` models with these settings."""
    try:
        facts = methods.facts(merge.method or name, methods.ONE_SHAPE, methods.GREEDY)
        facts.checked(merge.options)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    _, most = facts.models
    if most is not None and count > most:
        advice = f"set members: {most}" if isinstance(merge, SoupMerge) else "use another method"
        raise ValueError(f"{where}: {facts.name} merges {most} models, not {count}; {advice}")
    if facts.kind == methods.GREEDY and merge.strengths:
        raise ValueError(f"{where}.strengths: a greedy soup has no strength; leave the key out")
    if merge.weights is None:
        return
    if not facts.weighted:
        raise ValueError(f"{where}.weights: {facts.name} weights all models equally; leave the key out")
    if len(merge.weights) != count or sum(merge.weights) == 0:
        raise ValueError(f"{where}.weights: {list(merge.weights)}; give {count} numbers that do not sum to zero")


def _known(where: str, name: str, known: Any) -> None:
    if name not in known:
        raise unknown(where, name, known)


def _sentence(problem: ErrorDetails) -> str:
    where = ".".join(str(part) for part in problem["loc"] if part != _KEY)
    if problem["type"] == "extra_forbidden":
        known = _keys_at(problem["loc"][:-1])
        listed = f"; available: {', '.join(known)}" if known else ""
        return f"{where}: unknown key{listed}{meant(problem['loc'][-1], known)}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{where}: this key is needed"
    given = problem["input"]
    if problem["type"] == "union_tag_not_found":
        return f"{where}.kind: this key is needed"
    if problem["type"] == "union_tag_invalid":
        known = re.findall("'([^']*)'", problem["ctx"]["expected_tags"])
        return str(unknown(f"{where}.kind", given["kind"], known))
    if problem["type"] in ("model_type", "dict_type", "model_attributes_type"):
        return f"{where}: {shown(given)}; keys and values are needed here"
    if problem["type"] == "tuple_type":
        return f"{where}: {shown(given)}; a list in square brackets is needed"
    if problem["type"] == "string_type" and isinstance(given, int | float):
        return f"{where}: {shown(given)}; text is needed, so write it in quotes"
    own = problem["type"] == "value_error"
    if not own and isinstance(given, str | int | float) and (text := shown(given)) not in message:
        message += f" (given: {text})"
    if problem["type"] == "literal_error":
        message += meant(given, re.findall("'([^']*)'", problem["ctx"]["expected"]))
    return f"{where}: {message}" if where else message


def _keys_at(location: tuple[str | int, ...]) -> list[str]:
    """Return the keys that the config knows at `location`, or [] if that is not a single section."""
    schema = Study.model_json_schema()
    node: dict[str, Any] = schema
    for part in location:
        node = _resolved(schema, node)
        for option in [node, *(_resolved(schema, o) for o in node.get("anyOf", []) + node.get("oneOf", []))]:
            kind = option.get("discriminator", {}).get("mapping", {}).get(part)
            found = {"$ref": kind} if kind else option.get("properties", {}).get(part)
            extra = option.get("additionalProperties")
            found = found or (extra if isinstance(extra, dict) else None) or (option.get("items"))
            if found:
                node = found
                break
        else:
            return []
    node = _resolved(schema, node)
    for option in [node, *(_resolved(schema, o) for o in node.get("anyOf", []))]:
        if option.get("properties"):
            return list(option["properties"])
    return []


def _resolved(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    return schema["$defs"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node
