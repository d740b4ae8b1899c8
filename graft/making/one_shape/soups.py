"""Make soups: merges of whole classifiers of one task, heads included, since all members start from the same head."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from graft.config.study import MEMBER_SEEDS
from graft.encoders import translation
from graft.encoders.models import load_classifier, new_classifier
from graft.encoders.network import Classifier
from graft.encoders.saving import save_model
from graft.flops.one_shape import merge_flops
from graft.io import files
from graft.making.one_shape.combination import Combination, Combined, Source
from graft.merging.card import CARD
from graft.merging.homogeneous.greedy import greedy
from graft.merging.homogeneous.orders import Plan
from graft.registry.methods import GREEDY


@dataclass(frozen=True)
class Found:
    """A chosen soup: the model, its plan and its members; the number of models in each soup tried; the records of
    choices; and its score on `select`."""

    tensors: dict[str, Tensor]
    plan: Plan
    sources: Sequence[Source]
    tried: list[int]
    choices: list[dict[str, Any]]
    score: float


def soup(one: Combination, out: Path) -> Combined:
    """Merge the members of a soup into the model folder `out`; strength, or members, are chosen on `select`."""
    row = one.grid.row(one.task)
    model = load_classifier(one.sources[0].folder)
    found = (_greedily if one.facts.kind == GREEDY else _by_strength)(one, model)
    model.load_state_dict(translation.classifier(found.tensors, one.shape))
    with files.atomic_folder(out) as folder:
        save_model(model, folder)
        files.copy_into(one.pretrained, folder, files.TOKENIZER)
        (folder / CARD).write_text(one.card(found.plan))
    flops, merge = one.sources_flops(), functools.partial(merge_flops, one.facts.name, one.shape, row.outputs)
    # A soup that was searched for is merged once more, to be saved.
    again = [len(found.sources)] if found.choices else []
    flops[f"{one.name}/merge"] = sum(map(merge, [*found.tried, *again]))
    flops[f"{one.name}/select"] = len(found.tried) * one.select_flops(one.task)
    return Combined(found.choices, {one.task: found.score}, flops, {**one.settings, "members": len(found.sources)})


def _by_strength(one: Combination, model: Classifier) -> Found:
    with one.merging(one.sources, lambda: _base(one)) as merged:
        choice, tensors, plan = one.best(merged, lambda _, tensors: _score(one, model, tensors))
    metric = one.grid.row(one.task).primary_metric
    records = choice.records(metric) if len(choice.searched) > 1 else []
    return Found(tensors, plan, one.sources, [len(one.sources)] * len(choice.searched), records, choice.score)


def _greedily(one: Combination, model: Classifier) -> Found:
    """Add members from the best down, keeping each if the average with it scores no worse on `select`."""
    searched: list[dict[str, Any]] = []

    def made(members: Sequence[int]) -> tuple[dict[str, Tensor], Plan]:
        with one.merging([one.sources[member] for member in members], lambda: _base(one)) as merged:
            return merged(1.0)

    def score(members: tuple[int, ...]) -> float:
        searched.append({"value": _seeds(one, members), "score": _score(one, model, made(members)[0])})
        one.report(len(searched), len(one.sources) - 1, f"{len(members)} members")
        return searched[-1]["score"]

    alone = [source.made["select"]["value"] for source in one.sources]
    chosen = greedy(alone, score)
    tried = [len(point["value"]) for point in searched]
    searched = [{"value": _seeds(one, (i,)), "score": value} for i, value in enumerate(alone)] + searched
    record = {
        "name": "members",
        "metric": one.grid.row(one.task).primary_metric,
        "chosen": _seeds(one, chosen),
        "searched": searched,
    }
    reached = next(point["score"] for point in searched if point["value"] == record["chosen"])
    return Found(*made(chosen), [one.sources[i] for i in chosen], tried, [record], reached)


def _base(one: Combination) -> dict[str, Tensor]:
    """The model that all members were fine-tuned from."""
    model = new_classifier(one.pretrained, one.grid.row(one.task).labels, MEMBER_SEEDS)
    return translation.stored_classifier(model.state_dict(), one.shape)


def _score(one: Combination, model: Classifier, tensors: Mapping[str, Tensor]) -> float:
    model.load_state_dict(translation.classifier(tensors, one.shape))
    return one.score(one.task, model)


def _seeds(one: Combination, members: Sequence[int]) -> list[int]:
    return [one.sources[member].made["seed"] for member in members]
