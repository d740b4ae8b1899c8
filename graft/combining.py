"""Merging fine-tuned models of one shape inside a study: soups over seeds, and encoders over tasks.

A soup is whole classifiers, head with them, since all members start from one head. An encoder of several tasks is
embeddings and layers; pooler and classifier are a task's own head, and go on from its fine-tuning as they are.
"""

from __future__ import annotations

import contextlib
import functools
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from threadpoolctl import threadpool_limits
from torch import Tensor
from transformers import BertForSequenceClassification

from graft import files, runs
from graft.cost.flops import classifier_flops
from graft.cost.same_shape import merge_flops
from graft.encoders import load_classifier, load_encoder, new_classifier
from graft.grid import Grid, System, same_shape_settings, statistic_of
from graft.inference import pass_flops, predict
from graft.merging.card import CARD
from graft.merging.homogeneous import card, folders, table
from graft.merging.homogeneous.averages import greedy
from graft.merging.homogeneous.checkpoint import WEIGHTS
from graft.merging.saving import save_classifier, split_classifier
from graft.merging.selection import Point, search
from graft.paths import Paths
from graft.shapes import Shape
from graft.study import MEMBER_SEEDS
from graft.tasks import metrics

Report = Callable[[int, int, str], None]
# Names of a classifier's tensors that are its head.
HEAD = ("bert.pooler.", "classifier.")
# What the scores of encoders are called in the record of a choice.
SHARE = "mean over tasks of the metric as a share of the fine-tuned model's own"


@dataclass(frozen=True)
class Source:
    """A fine-tuned model that is merged: its task, its folder, its build.json, and the file of its statistics."""

    task: str
    folder: Path
    made: dict[str, Any]
    statistics: Path | None
    flops: dict[str, int]


@dataclass(frozen=True)
class Found:
    """A soup that was chosen: the model, its plan and its members; how many models each soup that was tried had; the
    records of choices; and its score on `select`."""

    model: BertForSequenceClassification
    plan: folders.Plan
    sources: Sequence[Source]
    tried: list[int]
    choices: list[dict[str, Any]]
    score: float


@dataclass(frozen=True)
class Combined:
    """What was chosen on `select`: the records of choices, a score per task, the parts of the FLOPs, and settings."""

    choices: list[dict[str, Any]]
    scores: dict[str, float]
    flops: dict[str, int]
    hyperparameters: dict[str, Any]


class Combination:
    """One soup or multitask system of a study: what it is merged from, and how it is scored."""

    def __init__(
        self, grid: Grid, paths: Paths, task: str, system: System, seed: int | str, device: str, report: Report
    ) -> None:
        """`task`: of a soup; "" for an encoder of all tasks."""
        self.grid, self.paths, self.task, self.system = grid, paths, task, system
        self.device, self.report = device, report
        self.name = "/".join(part for part in (system.name, task, f"seed-{seed}") if part)
        self.settings = same_shape_settings(system)
        self.facts = table.of_study(system.method)
        self.pretrained = runs.model_folder(grid, paths, system.model)
        self.shape = Shape.of(self.pretrained)
        self.sources = [self._source(*one) for one in grid.merged(task, system, seed)]

    def _source(self, task: str, system: str, seed: int) -> Source:
        folder = self.paths.run(task, system, seed)
        made = runs.read_made(folder / "build.json", self.grid.made(task, system, seed))
        statistic, found, flops = statistic_of(self.system), None, dict(made["train_flops_parts"])
        if statistic:
            found = self.paths.model_statistics(task, system, seed, statistic)
            expected = self.grid.model_statistics(task, system, seed, statistic)
            flops |= runs.read_made(found / "manifest.json", expected)["train_flops_parts"]
        return Source(task, folder / "model", made, found and found / self.facts.statistics, flops)

    def score(self, task: str, model: BertForSequenceClassification) -> float:
        """The primary metric of a classifier on a task's `select`."""
        logits = predict(model.to(self.device), *self._select(task))
        row = self.grid.row(task)
        return metrics.primary(logits, runs.labels(self.paths, task, "select"), row)

    def select_flops(self, task: str) -> int:
        """FLOPs of one pass of a classifier over a task's `select`."""
        forward = functools.partial(classifier_flops, self.shape, outputs=self.outputs(task))
        return pass_flops(forward, *self._select(task))

    def _select(self, task: str) -> tuple[Any, int]:
        tokens = runs.tokens(self.grid, self.paths, task, self.system.model, "select")
        return tokens, self.grid.max_tokens(task, self.system.model)

    def outputs(self, task: str) -> int:
        return self.grid.row(task).outputs

    def merged(
        self, models: Sequence[Path], base: Path, out: Path, strength: float, statistics: Sequence[Path] = ()
    ) -> folders.Plan:
        """Merge folders into another."""
        method = "uniform" if self.facts is table.GREEDY else self.facts.name
        # Without changes to scale, models that are all the same stay what they are, to the last bit.
        needs_base = self.facts.base or (strength != 1 and method != "slerp")
        order = folders.Order(
            method,
            tuple(models),
            out,
            base=base if needs_base else None,
            weights=self.system.settings.weights,
            strength=strength,
            options=self.system.settings.options,
            statistics=tuple(statistics),
            device=self.device,
        )
        # More threads change numpy's factorisations in the last digits.
        with threadpool_limits(self.grid.study.launch.threads):
            return folders.merge(order, lambda *_: None)

    def card(self, plan: folders.Plan, sources: Sequence[Source], note: str = "") -> str:
        """The model card of what was merged."""
        base = [("base", self.pretrained, self.pretrained / WEIGHTS)] if "base" in plan.sources else []
        # A system's folder has its name, which a card tells; all its models' folders are called alike.
        members = [
            (f"{one.task} {one.folder.parent.name}", one.folder.parent.parent, one.folder / WEIGHTS) for one in sources
        ]
        found = {
            role: {"folder": str(named), "sha256": {WEIGHTS: files.sha256(weights)}}
            for role, named, weights in [*base, *members]
        }
        config = {"architectures": ["BertForSequenceClassification"]}
        return card.text(replace(plan, facts=self.facts), config, found, "the build.json beside this folder") + note


def soup(one: Combination, out: Path) -> Combined:
    """Merge the members of a soup into the model folder `out`; strength, or members, are chosen on `select`."""
    row = one.grid.row(one.task)
    with _scratch(out.parent) as scratch:
        new_classifier(one.pretrained, row.labels, MEMBER_SEEDS).save_pretrained(scratch / "base")
        find = _greedily if one.facts is table.GREEDY else _by_strength
        found = find(one, scratch)
        with files.atomic_folder(out) as folder:
            found.model.save_pretrained(folder)
            files.copy_into(one.pretrained, folder, files.TOKENIZER)
            (folder / CARD).write_text(one.card(found.plan, found.sources))
    flops, merge = _flops(one), functools.partial(merge_flops, one.facts.name, one.shape, row.outputs)
    flops[f"{one.name}/merge"] = sum(map(merge, found.tried))
    flops[f"{one.name}/select"] = len(found.tried) * one.select_flops(one.task)
    return Combined(found.choices, {one.task: found.score}, flops, {**one.settings, "members": len(found.sources)})


def _by_strength(one: Combination, scratch: Path) -> Found:
    models = [source.folder for source in one.sources]
    statistics = tuple(source.statistics.parent for source in one.sources if source.statistics)

    # The strength that was tried last is often the one chosen.
    @functools.lru_cache(maxsize=1)
    def made(strength: float) -> tuple[BertForSequenceClassification, folders.Plan]:
        with _scratch(scratch) as folder:
            plan = one.merged(models, scratch / "base", folder / "merged", strength, statistics)
            return load_classifier(folder / "merged"), plan

    def score(point: Point) -> float:
        strengths = one.settings["strengths"]
        one.report(strengths.index(point.strength) + 1, len(strengths), f"strength {point.strength:g}")
        return one.score(one.task, made(point.strength)[0])

    choice = search([Point(strength) for strength in one.settings["strengths"]], score)
    model, plan = made(choice.chosen.strength)
    metric = one.grid.row(one.task).primary_metric
    records = choice.records(metric) if len(choice.searched) > 1 else []
    return Found(model, plan, one.sources, [len(models)] * len(choice.searched), records, choice.score)


def _greedily(one: Combination, scratch: Path) -> Found:
    """From the best member down, each stays if the average with it scores no worse on `select`."""
    searched: list[dict[str, Any]] = []

    def made(members: Sequence[int]) -> tuple[BertForSequenceClassification, folders.Plan]:
        with _scratch(scratch) as folder:
            models = [one.sources[member].folder for member in members]
            plan = one.merged(models, scratch / "base", folder / "merged", 1.0)
            return load_classifier(folder / "merged"), plan

    def score(members: tuple[int, ...]) -> float:
        searched.append({"value": _seeds(one, members), "score": one.score(one.task, made(members)[0])})
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


def _seeds(one: Combination, members: Sequence[int]) -> list[int]:
    return [one.sources[member].made["seed"] for member in members]


def encoder(one: Combination, out: Path) -> Combined:
    """Merge the encoders of all tasks' fine-tuned models into folder `out` (encoder.safetensors, names as in a
    classifier, and the model card); the strength is chosen on `select` of all tasks together."""
    heads = {source.task: load_classifier(source.folder) for source in one.sources}
    own = {source.task: source.made["select"]["value"] for source in one.sources}
    scores: dict[float, dict[str, float]] = {}
    strengths = one.settings["strengths"]
    with _scratch(out) as scratch:
        models = [_without_head(source, scratch / source.task) for source in one.sources]
        base = _encoder_folder(load_encoder(one.pretrained).state_dict(), one.pretrained, scratch / "base")
        statistics = tuple(models) if statistic_of(one.system) else ()

        @functools.lru_cache(maxsize=1)
        def made(strength: float) -> tuple[dict[str, Tensor], folders.Plan]:
            with _scratch(scratch) as folder:
                plan = one.merged(models, base, folder / "merged", strength, statistics)
                return load_file(folder / "merged" / WEIGHTS), plan

        def score(point: Point) -> float:
            body, _ = made(point.strength)
            one.report(strengths.index(point.strength) + 1, len(strengths), f"strength {point.strength:g}")
            scores[point.strength] = {task: one.score(task, with_encoder(model, body)) for task, model in heads.items()}
            return share_of_own(scores[point.strength], own)

        choice = search([Point(strength) for strength in strengths], score)
        body, plan = made(choice.chosen.strength)
        save_file(body, out / "encoder.safetensors")
        note = "\nEmbeddings and layers were merged; pooler and classifier are those of the task's own fine-tuning.\n"
        (out / CARD).write_text(one.card(plan, one.sources, note))
    flops, count = _flops(one), len(choice.searched)
    flops[f"{one.name}/merge"] = count * merge_flops(one.facts.name, one.shape, None, len(one.sources))
    flops[f"{one.name}/select"] = count * sum(map(one.select_flops, heads))
    records = choice.records(SHARE) if count > 1 else []
    return Combined(records, scores[choice.chosen.strength], flops, {**one.settings, "tasks": list(heads)})


def share_of_own(scores: Mapping[str, float], own: Mapping[str, float]) -> float:
    """Mean over tasks of the score on `select`, as a share of that of the task's own fine-tuned model.

    Where that has learnt nothing (0 or less) the score counts as it is.
    """
    return math.fsum(score / own[task] if own[task] > 0 else score for task, score in scores.items()) / len(scores)


def under_head(tuned: Path, merged: Path, pretrained: Path, labels: tuple[str, ...] | None, out: Path) -> None:
    """Write a task's classifier: the encoder of `merged`, under the pooler and classifier of the folder `tuned`."""
    model = with_encoder(load_classifier(tuned), load_file(merged / "encoder.safetensors"))
    save_classifier(*split_classifier(model), pretrained, labels, out)
    files.copy_into(merged, out, (CARD,))


def with_encoder(model: BertForSequenceClassification, body: Mapping[str, Tensor]) -> BertForSequenceClassification:
    """The classifier with embeddings and layers in the place of its own; raises ValueError unless these are all."""
    found = model.load_state_dict(dict(body), strict=False)
    if wrong := [*found.unexpected_keys, *(name for name in found.missing_keys if not name.startswith(HEAD))]:
        raise ValueError(f"merged encoder: {wrong[0]} is not what the classifier needs; its embeddings and layers are")
    return model


def _flops(one: Combination) -> dict[str, int]:
    """Parts of the FLOPs of all that is merged."""
    return functools.reduce(dict.__or__, (source.flops for source in one.sources))


def _without_head(source: Source, out: Path) -> Path:
    """A folder with the encoder of a fine-tuned model, and its part of the statistics."""
    _encoder_folder(load_file(source.folder / WEIGHTS), source.folder, out)
    if source.statistics:
        save_file(_encoder_part(load_file(source.statistics)), out / source.statistics.name)
    return out


def _encoder_folder(tensors: Mapping[str, Tensor], like: Path, out: Path) -> Path:
    out.mkdir()
    whole = {name if name.startswith(("bert.", *HEAD)) else f"bert.{name}": tensor for name, tensor in tensors.items()}
    save_file(_encoder_part(whole), out / WEIGHTS)
    # Labels are the head's.
    config = {key: value for key, value in files.read_json(like / "config.json").items() if key not in folders.LABELS}
    files.write_json(out / "config.json", config)
    return out


def _encoder_part(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.contiguous() for name, tensor in tensors.items() if not name.startswith(HEAD)}


@contextlib.contextmanager
def _scratch(beside: Path) -> Iterator[Path]:
    """A folder that goes when the block ends; what a killed job leaves of it, the next start removes."""
    beside.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=beside, prefix=".merging.", suffix=files.TEMPORARY) as folder:
        yield Path(folder)
