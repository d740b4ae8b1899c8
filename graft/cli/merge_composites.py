"""Make a composite of the models of a `merge` of two shapes: a folder that stands alone and runs parts of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graft.cli import merge_card
from graft.cli.merge_orders import RIDGE, Order, Plan
from graft.encoders import features
from graft.encoders.batches import padded_lengths
from graft.encoders.inference import Batch, run
from graft.encoders.saving import save_model
from graft.encoders.spans import read_by
from graft.io import files
from graft.io.progress import Report
from graft.merging.classifier_heads import ridge
from graft.merging.classifier_heads.fitting import label_targets
from graft.merging.classifier_heads.ridge import LinearMap
from graft.merging.composite import manifest
from graft.merging.composite.concat_probe import ConcatProbeOptions
from graft.merging.composite.facts import Composite, CompositeSizes
from graft.merging.composite.logit_ensemble import LogitEnsembleOptions
from graft.merging.composite.logit_ensemble import maths as logit_ensemble
from graft.merging.composite.proxy_tuning import ProxyTuningOptions
from graft.merging.composite.proxy_tuning import maths as proxy_tuning
from graft.merging.composite.stitch import StitchOptions
from graft.merging.composite.stitch import maths as stitch
from graft.merging.selection import Choice, Point, search
from graft.registry.cuts import cuts as all_cuts
from graft.registry.tasks import TaskRow
from graft.study.answering import Reading
from graft.tasks import metrics
from graft.tasks.spans import side

if TYPE_CHECKING:
    from graft.cli.merge_folders import _FitTexts, _Given


def check(facts: type[Composite], order: Order) -> None:
    """Raise ValueError unless a composite can be made without a study, of what the order gives."""
    if facts.trained:
        raise ValueError(f"method {facts.name} trains its own weights; use it in a study")
    if order.labelled is None:
        raise ValueError(f"method {facts.name} fits a head to labels; give --labelled FILE.tsv")
    if order.strength != Order.strength:
        raise ValueError(f"--strength: {facts.name} chooses on every fifth labelled row what it varies; leave it out")


@dataclass(frozen=True)
class Maker:
    """Makes the composite of an order from its models: closed forms on labelled rows, with every fifth held out."""

    order: Order
    options: Composite
    given: _Given
    fit: _FitTexts
    scratch: Path
    """Folder with the models as `parts` names them, into which the composite is written."""
    report: Report

    def __post_init__(self) -> None:
        if isinstance(self.options, ConcatProbeOptions) and self.options.folds > 1:
            raise ValueError("--option folds: more than 1 takes further fine-tunings; use concat_probe in a study")

    def plan(self) -> Plan:
        """Shapes, options and FLOPs; `states`: passes over labelled rows for heads; `probes`: heads of one model."""
        small, large = self.given.shapes
        lengths = padded_lengths(self.fit.texts.lengths(self.given.max_tokens)[self.fit.rows])
        held = self.fit.held.numpy()

        def texts(tokens: int) -> tuple[int, np.ndarray]:
            rows = self.given.first(tokens)
            return self.given.count(rows), padded_lengths(self.given.texts.lengths(self.given.max_tokens)[rows])

        outputs = len(self.given.outputs)
        sizes = CompositeSizes(
            small, large, outputs, len(RIDGE), lengths[:0], lengths[:0], lengths[held], lengths[~held], texts, (0, 0)
        )
        flops = {part.name: part.flops for part in self.options.making(sizes)}
        # What studies count with the systems that these are parts of.
        shapes = {"large": large, "small": small}
        probed = [role for role in shapes if f"probe.{role}" in self.options.needs]
        for role in ["large"] if isinstance(self.options, ConcatProbeOptions) else probed:
            flops["states"] = flops.get("states", 0) + self.given.pass_flops(role, self.fit.texts, self.fit.rows)
        for role in probed:
            flops["probes"] = flops.get("probes", 0) + sizes.head(shapes[role].width)
        rows = self.given.first(self.options.text_tokens) if self.options.text_tokens else np.arange(0)
        counts = len(rows), self.given.count(rows)
        return Plan(large, small, (), self.options, *counts, flops, self.given.spans(rows))

    def make(self) -> None:
        """Write the composite with its parts, tokenizer, card and provenance."""
        save_model(self.given.finetuned.to("cpu"), _new(self.scratch / "finetuned"))
        self.given.finetuned.to(self.order.device)
        choice = _MAKERS[type(self.options)](self, self.options, self.scratch / "made")
        self.report(0, 0, "writing the composite")
        with files.atomic_folder(self.order.out, new=True) as folder:
            manifest.gather(self.scratch / "made", folder)
            tokenizers = (self.large, self.scratch / "--small-pretrained")[: len(self.given.readers)]
            reading = Reading(self.given.labels, len(self.fit.texts.columns), self.given.max_tokens)
            reading.write(folder, *tokenizers)
            merge_card.write(folder, self.order, self.plan(), {}, choice.records(self.row.primary_metric))

    @property
    def large(self) -> Path:
        return self.given.large_folder

    @property
    def row(self) -> TaskRow:
        """The task of the labelled rows, by what choices are made on the held-out ones."""
        labels = self.given.labels
        return TaskRow(("text",), "label", ("pearson" if labels is None else "accuracy",), labels)

    @property
    def labels(self) -> Tensor:
        """Labels [n]: class ids or scores."""
        assert self.fit.labels is not None  # `check`
        return self.fit.labels

    @property
    def targets(self) -> Tensor:
        """Least-squares targets [n, c] of the labels."""
        return label_targets(self.labels, None if self.given.labels is None else len(self.given.labels))

    def score(self, logits: Tensor) -> float:
        """Score logits [held, c] of the held-out rows."""
        return metrics.primary(np.asarray(logits), self.labels[self.fit.held].numpy(), self.row)

    def pooled(self, role: str, hidden: Callable[[Batch], Tensor], pooling: str) -> Tensor:
        """Pooled states [n, w] of the labelled rows, at the tokens of the large or the small model."""
        texts, rows = self.fit.texts, self.fit.rows
        found = features.pooled_states(hidden, pooling, texts, self.given.max_tokens, rows, self.order.device, role)
        return torch.from_numpy(found)

    def states(self, role: str, encoder: Any, pooling: str) -> Tensor:
        """Pooled last states [n, w] of a large or a small encoder."""
        return self.pooled(role, lambda batch: features.last_states(encoder, read_by(role, batch)), pooling)

    def head(self, states: Mapping[int, Tensor]) -> tuple[LinearMap, Choice]:
        """The best head on one of several states [n, w], by number, and the choice of these and of the ridge size."""
        held, targets = self.fit.held, self.targets
        tried = {
            Point(float(number), size): head
            for number, own in states.items()
            for size, head in ridge.fit(own[~held], targets[~held], RIDGE).items()
        }
        choice = search(tried, lambda point: self.score(tried[point](states[int(point.strength)][held])))
        (whole,) = ridge.fit(states[int(choice.chosen.strength)], targets, [choice.chosen.ridge or 0.0]).values()
        return whole, choice

    def probe(self, role: str, encoder: Any, folder: Path, pooling: str, out: Path) -> Tensor:
        """Write a probe on a large or a small encoder; returns logits [held, c] of one fitted without held-out rows."""
        states = self.states(role, encoder, pooling)
        whole, choice = self.head({0: states})
        manifest.write(out, "probe", {"encoder": folder}, {manifest.HEAD: whole}, pooling=pooling)
        held, targets = self.fit.held, self.targets
        (part,) = ridge.fit(states[~held], targets[~held], [choice.chosen.ridge or 0.0]).values()
        return part(states[held])

    def answers(self) -> Tensor:
        """Logits [held, c] of the fine-tuned small classifier."""
        model, rows = self.given.finetuned.eval(), self.fit.rows[self.fit.held.numpy()]
        given = side(self.fit.texts, "small"), self.given.max_tokens, rows, self.order.device
        return torch.from_numpy(run(lambda batch: model(**batch).logits, *given))


def _stitch(maker: Maker, options: StitchOptions, out: Path) -> Choice:
    given = maker.given
    small, large = given.shapes
    cuts = {cut.number: cut for cut in all_cuts(small.layers, large.layers, options.direction)}
    models = {"small": given.finetuned.bert, "large": given.large}
    folders = {"small": maker.scratch / "finetuned", "large": maker.large}
    texts = given.batches(options.text_tokens)
    layers = {role: {cut.layer_of(role) for cut in cuts.values()} for role in models}
    seen = {role: stitch.states(model, layers[role], texts, role) for role, model in models.items()}
    joints, states = dict[int, LinearMap](), dict[int, Tensor]()
    for number, cut in cuts.items():
        maker.report(len(states), len(cuts), cut.name)
        first, second = cut.roles
        joints[number] = stitch.joint(seen[first][cut.below], seen[second][cut.above], options.map_ridge)
        model = stitch.Stitched(models[first], models[second], cut, joints[number]).eval()
        states[number] = maker.pooled(second, model, options.pooling)
    head, choice = maker.head(states)
    cut = cuts[number := int(choice.chosen.strength)]
    parts = {part: folders[role] for part, role in zip(("first", "second"), cut.roles, strict=True)}
    maps = {manifest.HEAD: head, manifest.JOINT: joints[number]}
    manifest.write(out, "stitch", parts, maps, cut=cut._asdict(), pooling=options.pooling)
    return choice


def _concat_probe(maker: Maker, options: ConcatProbeOptions, out: Path) -> Choice:
    tuned, given = options.small == "finetuned", maker.given
    small = given.finetuned.bert if tuned else given.small
    models = {"small": small, "large": given.large}
    states = [maker.states(role, model, options.pooling) for role, model in models.items()]
    head, choice = maker.head({0: torch.cat(states, dim=1)})
    parts = {"small": maker.scratch / ("finetuned" if tuned else "--small-pretrained"), "large": maker.large}
    manifest.write(out, "concat_probe", parts, {manifest.HEAD: head}, pooling=options.pooling)
    return choice


def _logit_ensemble(maker: Maker, options: LogitEnsembleOptions, out: Path) -> Choice:
    probe = maker.probe("large", maker.given.large, maker.large, options.probe, maker.scratch / "probe")
    logits = {"small": maker.answers(), "probe": probe}
    scores = maker.given.labels is None
    choice, scales = logit_ensemble.fit(logit_ensemble.combine, logits, options.strengths, maker.score, scores)
    parts = {"small": maker.scratch / "finetuned", "probe": maker.scratch / "probe"}
    manifest.write(out, "logit_ensemble", parts, beta=choice.chosen.strength, scales=scales)
    return choice


def _proxy_tuning(maker: Maker, options: ProxyTuningOptions, out: Path) -> Choice:
    scratch, given = maker.scratch, maker.given
    probe = maker.probe("large", given.large, maker.large, options.probe, scratch / "probe")
    untuned = maker.probe("small", given.small, scratch / "--small-pretrained", options.probe, scratch / "untuned")
    logits = {"probe": probe, "tuned": maker.answers(), "untuned": untuned}
    scores = given.labels is None
    choice, scales = logit_ensemble.fit(proxy_tuning.combine, logits, options.strengths, maker.score, scores)
    parts = {"probe": scratch / "probe", "tuned": scratch / "finetuned", "untuned": scratch / "untuned"}
    manifest.write(out, "proxy_tuning", parts, alpha=choice.chosen.strength, scales=scales)
    return choice


_MAKERS: dict[type[Composite], Callable[[Maker, Any, Path], Choice]] = {
    StitchOptions: _stitch,
    ConcatProbeOptions: _concat_probe,
    LogitEnsembleOptions: _logit_ensemble,
    ProxyTuningOptions: _proxy_tuning,
}


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder
