"""Checks of a study's systems against its models, pairs and tasks, and against one another. Imports no torch."""

from collections.abc import Collection, Mapping, Sequence

from graft.config.models import Like, Model, Pair, check_role
from graft.config.systems import MergeSystem, OneShapeMerge, OtherSmallControl, SoupMerge, Systems
from graft.io.names import check_known
from graft.registry import methods


def check_systems(systems: Systems, pairs: Sequence[Pair], models: Mapping[str, Model], tasks: Collection[str]) -> None:
    """Raise ValueError, naming the key, if a system lacks what it is built on, or a method cannot do what it should."""
    for name, merge in systems.merge.items():
        _check_merge(f"systems.merge.{name}", name, merge, systems)
    control = systems.control
    for key in ("shuffled", "random", "wrong-task", "other-small"):
        of = getattr(control, key.replace("-", "_"))
        for name in of.of if of else ():
            _check_control(f"systems.control.{key}.of", name, systems.merge)
    for name in systems.oracle.of if systems.oracle else ():
        _check_control("systems.oracle.of", name, systems.merge)
        if systems.merge[name].options.get("residual") == "fit_dense":
            raise ValueError(f"systems.oracle.of: {name} uses a distillation's projection, which no large model has")
    if control.wrong_task and len(tasks) < 2:
        raise ValueError(f"systems.control.wrong-task: {next(iter(tasks))} is the only task; two or more are needed")
    for key in ("few-labels", "label-free"):
        of = getattr(systems, key.replace("-", "_"))
        for name in (of.of or ()) if of else ():
            _check_closed_form(f"systems.{key}.of", name, systems.merge)
            if key == "label-free" and "probe.large" in methods.facts(systems.merge[name].method or name).needs:
                raise ValueError(f"systems.{key}.of: {name} needs a probe, which needs labels; leave it out")
    _check_other_small(systems, pairs, models, tasks)
    _check_warm_start(systems)
    paired = dict.fromkeys(model for pair in pairs for model in (pair.large, pair.small))
    for key, spec in (("soup", systems.soup), ("multitask", systems.multitask), ("budget", systems.budget)):
        for name in (spec.models or ()) if spec else ():
            check_known(f"systems.{key}.models", name, paired)
    _check_soup(systems)
    _check_multitask(systems, tasks)
    _check_budget(systems, pairs)


def control_pairs(control: OtherSmallControl | None, pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Return the pairs' large models, each with every small model of the control other-small."""
    models = control.models if control else ()
    return tuple(dict.fromkeys(Pair(large=pair.large, small=name) for pair in pairs for name in models))


def _check_merge(where: str, name: str, merge: MergeSystem, systems: Systems) -> None:
    try:
        options = methods.facts(merge.method or name, *methods.KINDS).checked(merge.options)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if merge.heads is not None and not options.heads:
        raise ValueError(f"{where}.heads: {options.name} has no choice of heads; leave the key out")
    probe, needed = systems.probe, any(need.startswith("probe.") for need in options.needs)
    if needed and (probe is None or options.probe not in probe.pooling):
        raise ValueError(f"{where}: needs probe.{options.probe}; add {options.probe} to systems.probe.pooling")


def _check_control(where: str, name: str, merges: Mapping[str, MergeSystem]) -> None:
    check_known(where, name, merges)
    method = merges[name].method or name
    if not methods.facts(method).heads:
        raise ValueError(f"{where}: {name} (method {method}) transfers no change; name a merge with heads")


def _check_closed_form(where: str, name: str, merges: Mapping[str, MergeSystem]) -> None:
    check_known(where, name, merges)
    options = methods.checked_options(merges[name].method or name, merges[name].options)
    if not options.closed_form:
        raise ValueError(f"{where}: {name} trains on all of train; name a merge that trains nothing")
    if options.small != "finetuned":
        raise ValueError(f"{where}: {name} does not use the fine-tuned small model; name a merge that does")


def _check_other_small(
    systems: Systems, pairs: Sequence[Pair], models: Mapping[str, Model], tasks: Collection[str]
) -> None:
    control, where = systems.control.other_small, "systems.control.other-small"
    if control is None:
        return
    projected = [name for name in control.of if systems.merge[name].options.get("residual") == "fit_dense"]
    for name in control.models:
        check_role(f"{where}.models", "small", name, models, tasks)
        if any(name == pair.small for pair in pairs):
            raise ValueError(f"{where}.models: {name} is the small model of a pair; name a model in no pair")
        if projected and isinstance(models[name].source, Like):
            raise ValueError(
                f"{where}.of: {projected[0]} uses a distillation's projection (residual: fit_dense), but {name} "
                "was not distilled; leave it out"
            )


def _check_warm_start(systems: Systems) -> None:
    spec, where = systems.warm_start, "systems.warm-start"
    if spec is None:
        return
    check_known(f"{where}.merge", spec.merge, systems.merge)
    merge, control = systems.merge[spec.merge], systems.control
    heads = merge.heads or methods.facts(merge.method or spec.merge).heads
    if spec.head not in heads:
        raise ValueError(f"{where}.head: {spec.merge} has no head {spec.head}; available: {', '.join(heads) or 'none'}")
    if control.head_only is None or spec.head not in control.head_only.heads:
        raise ValueError(f"{where}: needs control.head-only.{spec.head}; add it to systems.control.head-only")
    shuffled = control.shuffled
    if shuffled is None or spec.merge not in shuffled.of or spec.head not in (shuffled.heads or heads):
        raise ValueError(f"{where}: needs control.shuffled.{spec.merge}.{spec.head}; add it to its `of`")
    if "chosen" not in shuffled.strength:
        raise ValueError(f"{where}: needs control.shuffled at its own strength; add chosen to its `strength`")


def _check_budget(systems: Systems, pairs: Sequence[Pair]) -> None:
    spec, where = systems.budget, "systems.budget.starts"
    if spec is None or "closed-form" not in spec.starts:
        return
    control, large = systems.control.head_only, {pair.large for pair in pairs}
    if large.isdisjoint(spec.models or large):
        if "new" not in spec.starts:
            raise ValueError(f"{where}: {', '.join(spec.models or ())} can only start from a new head; add new")
    elif "labelled" not in (control.heads if control else ()):
        raise ValueError(f"{where}: closed-form needs control.head-only.labelled; add it to its heads")


def _check_soup(systems: Systems) -> None:
    spec = systems.soup
    if spec is None:
        return
    for name, merge in spec.methods.items():
        where = f"systems.soup.methods.{name}"
        if (merge.members or 0) > spec.members:
            raise ValueError(f"{where}.members: {merge.members}; systems.soup.members is {spec.members}")
        _check_one_shape(where, name, merge, merge.members or spec.members)


def _check_multitask(systems: Systems, tasks: Collection[str]) -> None:
    spec = systems.multitask
    for key, own in (("multitask", spec), ("joint", systems.joint)):
        if own and len(tasks) < 2:
            raise ValueError(f"systems.{key}: {next(iter(tasks))} is the only task; two or more are needed")
    for name, merge in spec.methods.items() if spec else ():
        where = f"systems.multitask.methods.{name}"
        if (merge.method or name) == methods.GREEDY:
            raise ValueError(f"{where}: greedy works on one task only; put it under systems.soup")
        _check_one_shape(where, name, merge, len(tasks))


def _check_one_shape(where: str, name: str, merge: OneShapeMerge, count: int) -> None:
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
