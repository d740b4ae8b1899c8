"""The systems of a study: everything that gets a row in its tables, plus trials and soup members."""

import functools
import itertools
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from graft.config.models import FineTuning, Pair
from graft.config.study import Study
from graft.config.systems import (
    BudgetPoint,
    FewLabelsSystem,
    FewLabelsTuning,
    HeadOnlyControl,
    LabelFreeSystem,
    MemberSystem,
    MergeSystem,
    OneShapeMerge,
    OracleSystem,
    OtherSmallControl,
    TrialSystem,
    WarmStartSystem,
    WeakToStrongSystem,
)
from graft.io.names import LONGEST_SYSTEM
from graft.merging.facts import TwoShapes
from graft.registry import methods

# Kinds of systems without runs: they only try hyperparameters, or go into soups.
TRIAL, MEMBER = "trial", "member"
# What could be had at best, which no system is held against.
ORACLE = "oracle"


@dataclass(frozen=True)
class System:
    """A row of the tables (or a trial or soup member), with the settings that its program needs.

    `program`: how it is made, a key of `steps.making.MAKERS`. `seeded`: one run per seed; otherwise one run
    (`seed-all`) stands for all. `merge`: key under `systems.merge`; `settings`: that entry, or the system's own
    section. `parent`: the system whose model a fine-tuning starts from, or whose outputs it learns, or whose strength a
    control has; `steps`: number of training steps, if not given by epochs. `labels`: how many labels of the task it
    sees, 0 for none but the small model's answers; None for all (graft.making.splits).
    """

    name: str
    kind: str
    label_use: str
    program: str
    seeded: bool
    model: str = ""
    pooling: str = ""
    pair: Pair | None = None
    merge: str = ""
    method: str = ""
    head: str = ""
    settings: Any = None
    parent: str = ""
    steps: int = 0
    labels: int | None = None

    @property
    def budget(self) -> str:
        """The labels that it sees, as in its name; empty for all."""
        return budget_of(self.labels)

    @property
    def own_pair(self) -> Pair:
        """The pair of a system that is made from one."""
        assert self.pair is not None
        return self.pair


def budget_of(labels: int | None) -> str:
    """A number of labels as in the names of systems; empty for all."""
    return "" if labels is None else f"few-{labels}" if labels else "no-labels"


@dataclass(frozen=True)
class Merge:
    """One way of merging in a study: a method, its settings, the kind of change it merges, and who chooses strengths:
    itself (`chosen`) or, for a control, its `merge`."""

    method: str
    settings: MergeSystem
    change: str = "finetuned"
    strength: tuple[str, ...] = ("chosen",)

    # Cached, since Snakemake needs them for every job.
    @functools.cached_property
    def options(self) -> TwoShapes:
        """All options of the method, including defaults."""
        return methods.checked_options(self.method, self.settings.options)

    @functools.cached_property
    def depth(self) -> str | None:
        """Name of the depth map for which the merge needs statistics, or None."""
        return self.options.depth if self.options.needs_calibration else None


def systems_of(study: Study, merges: dict[str, Merge]) -> list[System]:
    """All systems in the order of the tables; raises ValueError if two have the same name, or a name is too long."""
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
            System(f"probe.{pooling}.{m}", "probe", "train", program, False, model=m, pooling=pooling)
            for m in models
            for pooling in spec.probe.pooling
            for program in ["probe_layers" if pooling == "layers" else "probe"]
        ]
    found += [*_rivals(study), *_budgets(study)]
    for pair in study.pairs:
        merged = [system for name, merge in merges.items() for system in _merged(name, merge, pair)]
        known = {system.name for system in merged}
        # A control may have heads that its merge lacks, which so has no strength for them.
        merged = [system for system in merged if not system.parent or system.parent in known]
        found += merged
        if spec.control.head_only:
            found += _heads_alone(spec.control.head_only, pair, merged)
    for pair in {pair.large: Pair(large=pair.large, small=pair.large) for pair in study.pairs}.values():
        for name in dict.fromkeys(spec.oracle.of if spec.oracle else ()):
            (own,) = _merged(name, merges[name], pair, spec.oracle)
            found.append(replace(own, name=f"{ORACLE}.{name}.labelled.{pair.large}", kind=ORACLE))
    if other := spec.control.other_small:
        for pair in study.control_pairs:
            for name in dict.fromkeys(other.of):
                found += _merged(name, merges[name], pair, other)
    if spec.warm_start:
        for pair in study.pairs:
            found += _warm_starts(pair, spec.warm_start)
    found += _one_shape_systems(study)
    if few := spec.few_labels:
        found += [system for labels in few.rows for system in _few_labels(study, merges, few, labels)]
    if spec.label_free:
        found += _label_free(study, merges, spec.label_free)
    found += _trials(study, [*models, *others])
    names = [system.name for system in found]
    for name in names:
        if len(name) > LONGEST_SYSTEM:
            raise ValueError(f"systems: {name} has {len(name)} characters, {LONGEST_SYSTEM} at most; shorten its parts")
        if names.count(name) > 1:
            raise ValueError(f"systems: two systems have the name {name}; give one of them another name")
    return found


def _heads_alone(control: HeadOnlyControl, pair: Pair, merged: list[System]) -> list[System]:
    """The heads on the untouched large model: as the control says, and fitted as the pair's merges fit theirs.

    A merge without a choice of head is compared with whichever of them is best on `select`.
    """
    own = [(head, control.fit_rows, control.ridge) for head in control.heads]
    others = [(system.head, system.settings.fit_rows, system.settings.ridge) for system in merged]
    found = []
    for head, rows, ridge in dict.fromkeys([*own, *(fit for fit in others if fit[0] in control.heads)]):
        words = ["control.head-only", head]
        words += [f"rows-{rows}"] if rows != control.fit_rows else []
        words += ["-".join(["ridge", *(f"{size:g}".replace("+", "") for size in ridge)])] * (ridge != control.ridge)
        found.append(
            System(
                ".".join([*words, pair.name]),
                "control",
                "train" if head == "labelled" else "select",
                "merge",
                head != "labelled",  # the labelled head does not use the fine-tuned small model
                pair=pair,
                head=head,
                settings=control.model_copy(update={"fit_rows": rows, "ridge": ridge}),
            )
        )
    return found


def _rivals(study: Study) -> list[System]:
    """Baselines that merges are compared with: other ways to fine-tune, and ensembles."""
    spec, tuned = study.systems, partial(System, kind="finetune", label_use="train", seeded=True)
    found = []
    for large in dict.fromkeys(pair.large for pair in reversed(study.pairs)):
        if spec.lora:
            found.append(tuned(f"lora.{large}", program="finetune", model=large, settings=spec.lora))
        if spec.ensemble:
            found.append(tuned(f"ensemble.{large}", program="ensemble", model=large, settings=spec.ensemble))
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
    if spec.joint:
        models = dict.fromkeys(pair.large for pair in study.pairs)
        found += [
            System(f"joint.{large}", "multitask", "train", "joint", True, model=large, settings=spec.joint)
            for large in models
        ]
    return found


def _budgets(study: Study) -> list[System]:
    """Fine-tunings with a fraction of the steps, each with the trials of its learning rates."""
    spec, found = study.systems.budget, list[System]()
    if spec is None:
        return found
    heads = {pair.large: f"control.head-only.labelled.{pair.name}" for pair in reversed(study.pairs)}
    for model in spec.models or heads:
        starts = {"new": "", "closed-form": heads.get(model)}
        for start, fraction in itertools.product(spec.starts, spec.fractions):
            if (parent := starts[start]) is None:
                continue
            point = BudgetPoint(fraction=fraction, rates=spec.rates, seeds=spec.seeds)
            own = partial(System, label_use="train", program="budget", seeded=True, model=model, parent=parent)
            name = f"budget.{start}.{point.part}.{model}"
            found.append(own(name, "finetune", settings=point))
            for rate in spec.rates if len(spec.rates) > 1 else ():
                tried = BudgetPoint(fraction=fraction, rates=(rate,), seeds=1)
                found.append(own(rate_trial(name, rate), TRIAL, settings=tried))
    return found


def _few_labels(study: Study, merges: dict[str, Merge], spec: FewLabelsSystem, labels: int) -> list[System]:
    """Systems that see this number of labels of the task, besides those that the small model was fine-tuned on."""
    merged, larges = _closed_form(study, merges, spec), dict.fromkeys(pair.large for pair in study.pairs)
    tuning = FewLabelsTuning(epochs=spec.epochs, batch_size=spec.batch_size)
    found = [
        System(f"finetune.{large}", "finetune", "train", "budget", True, model=large, settings=tuning)
        for large in larges
    ]
    probes = [*(f"probe.layers.{large}" for large in larges), *(name for one in merged for name in probes_of(one))]
    for name in dict.fromkeys(probes):
        _, pooling, model = name.split(".", 2)
        program = "probe_layers" if pooling == "layers" else "probe"
        found.append(System(name, "probe", "train", program, True, model=model, pooling=pooling))
    control = study.systems.control.head_only or HeadOnlyControl()
    alone = control.model_copy(update={"heads": ("labelled",)})
    found += [*merged, *(replace(_heads_alone(alone, pair, [])[0], seeded=True) for pair in study.pairs)]
    return [_with_labels(system, labels) for system in found]


def _label_free(study: Study, merges: dict[str, Merge], spec: LabelFreeSystem) -> list[System]:
    """Systems that see no label of the task but through the fine-tuned small model."""
    found = [
        System(
            f"weak-to-strong.{pair.small}-to-{pair.large}",
            *("finetune", "none", "finetune", True),
            model=pair.large,
            pair=pair,
            settings=WeakToStrongSystem(),
            parent=f"finetune.{pair.small}",
        )
        for pair in study.pairs
    ]
    found += [
        System(
            f"probe.layers.{pair.small}-to-{pair.large}",
            *("probe", "none", "probe_layers", True),
            model=pair.large,
            pooling="layers",
            pair=pair,
        )
        for pair in study.pairs
    ]
    found += _closed_form(study, merges, spec)
    return [replace(_with_labels(system, 0), label_use="none") for system in found]


def _closed_form(study: Study, merges: dict[str, Merge], spec: FewLabelsSystem | LabelFreeSystem) -> list[System]:
    """The merges of the pairs that are made with few labels, or with none."""
    own = {name: merge for name, merge in merges.items() if merge.change == "finetuned"}
    able = [name for name, merge in own.items() if merge.options.closed_form and merge.options.small == "finetuned"]
    if isinstance(spec, LabelFreeSystem):  # a probe needs labels
        able = [name for name in able if "probe.large" not in own[name].options.needs]
    return [
        system
        for pair in study.pairs
        for name in dict.fromkeys(spec.of or able)
        for system in _merged(name, own[name], pair, heads=spec.heads)
    ]


def _with_labels(system: System, labels: int) -> System:
    """The system with this number of labels, which its name says before its pair or model."""
    pair, model = system.pair, system.model
    models = f"{pair.small}-to-{pair.large}" if pair and model else pair.name if pair else model
    return replace(system, labels=labels, name=f"{system.name.removesuffix(models)}{budget_of(labels)}.{models}")


def _one_shape_systems(study: Study) -> list[System]:
    """Soups, the fine-tunings that go into them, and multitask encoders."""
    found, large = [], tuple(dict.fromkeys(pair.large for pair in study.pairs))

    def add(kind: str, model: str, name: str, merge: OneShapeMerge) -> None:
        own = partial(System, model=model, method=merge.method or name, settings=merge)
        found.append(own(f"{kind}.{name}.{model}", kind, "train", kind, kind == "multitask"))

    if soup := study.systems.soup:
        for model in soup.models or large:
            for name, merge in soup.methods.items():
                add("soup", model, name, merge.model_copy(update={"members": merge.members or soup.members}))
            settings = MemberSystem()
            found.append(System(f"member.{model}", MEMBER, "train", "finetune", True, model=model, settings=settings))
    if multitask := study.systems.multitask:
        for model in multitask.models or large:
            for name, own_merge in multitask.methods.items():
                add("multitask", model, name, own_merge)
    return found


def _warm_starts(pair: Pair, spec: WarmStartSystem) -> list[System]:
    """Short fine-tunings of the large model from four starts, with the same numbers of steps."""
    way = f"{spec.merge}.{spec.head}.{pair.name}"
    starts = {
        "random-head": "",
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
    """Fine-tunings that only try hyperparameters; they have no runs."""
    found = {}
    for model in models:
        for settings in study.models[model].finetune.values():
            for tried in settings.tried():
                name = trial_name(model, tried)
                choice = TrialSystem(learning_rate=tried.learning_rate, epochs=tried.epochs)
                found[name] = System(name, TRIAL, "train", "finetune", True, model=model, settings=choice)
    return list(found.values())


def trial_name(model: str, tried: FineTuning) -> str:
    return f"trial.{model}.rate-{tried.learning_rate:g}.epochs-{tried.epochs}"


def rate_trial(point: str, rate: float) -> str:
    """Name of the trials of a learning rate, a multiple of the model's, of a system `budget.…`."""
    return f"trial.{point}.rate-{rate:g}"


def merges_of(study: Study) -> dict[str, Merge]:
    """All merges by key: those under systems.merge, then `<change>.<key>` of each control with another change."""
    found = {name: Merge(merge.method or name, merge) for name, merge in study.systems.merge.items()}
    own = dict(found)
    for change in methods.CHANGES[1:]:
        control = getattr(study.systems.control, change.replace("-", "_"))
        for name in control.of if control else ():
            settings = own[name].settings
            settings = settings.model_copy(update={"heads": control.heads or settings.heads})
            if f"{change}.{name}" in found:
                raise ValueError(f"systems.merge.{change}.{name}: the control of {name} has this name; take another")
            found[f"{change}.{name}"] = Merge(own[name].method, settings, change, control.strength)
    return found


def _merged(
    name: str,
    merge: Merge,
    pair: Pair,
    other: OtherSmallControl | OracleSystem | None = None,
    heads: tuple[str, ...] | None = None,
) -> list[System]:
    """The systems of one merge of one pair; `other` is set if the pair belongs to that section, not to the study.

    `heads`: those to make instead of the merge's, as far as its method has them.
    """
    facts = methods.facts(merge.method)
    own = (other and other.heads) or (facts.heads and heads) or merge.settings.heads or facts.heads or ("",)
    prefix = "control.other-small" if other else "merge" if merge.change == "finetuned" else "control"
    return [
        System(
            ".".join(part for part in (prefix, name, head, "same-strength" * (by == "merge"), pair.name) if part),
            facts.kind if prefix == "merge" else "control",
            "train" if head == "labelled" else facts.label_use,
            "merge",
            merge.options.small != "pretrained",
            pair=pair,
            merge=name,
            method=facts.name,
            head=head,
            settings=merge.settings,
            parent=f"merge.{name.removeprefix(f'{merge.change}.')}.{head}.{pair.name}" if by == "merge" else "",
        )
        for by in merge.strength
        for head in own
    ]


def effective(system: System) -> dict[str, Any]:
    """All options, including defaults, that affect how a merge or control is made."""
    options = {}
    if system.merge:
        options = methods.checked_options(system.method, system.settings.options).values()
    if system.head:
        options |= {"fit_rows": system.settings.fit_rows, "ridge": list(system.settings.ridge)}
    return options if system.labels is None else options | {"labels": system.labels}


def probes_of(system: System) -> list[str]:
    """Names of the probes that a merge builds on."""
    needs = methods.facts(system.method).needs if system.merge else ()
    roles = [need.removeprefix("probe.") for need in needs if need.startswith("probe.")]
    pooling = methods.checked_options(system.method, system.settings.options).probe if roles else None
    seen = f"{system.budget}." if system.budget else ""
    return [f"probe.{pooling}.{seen}{getattr(system.pair, role)}" for role in roles]


def reads_layers(system: System) -> bool:
    """Whether a merge reads the large model's states at the mapped layers."""
    return bool(system.merge) and "layers" in methods.facts(system.method).needs


def one_shape_settings(system: System) -> dict[str, Any]:
    """Merge settings of a soup or a multitask system, including defaults."""
    facts, settings = methods.facts(system.method), system.settings
    return {
        "method": facts.name,
        "strengths": list(settings.strengths or (facts.strength,)),
        "weights": list(settings.weights) if settings.weights else None,
        **methods.checked_options(facts.name, settings.options).values(),
    }


def statistic_of(system: System) -> str | None:
    """Name of the statistic that a same-shape merge needs of each model: `fisher`, `gram` or None."""
    facts = methods.facts(system.method)
    return Path(facts.statistics).stem if facts.statistics else None
