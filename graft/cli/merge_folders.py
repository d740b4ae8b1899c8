"""Merge the models of two folders into a third, without a study."""

import copy
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graft.cli import merge_card, merge_composites
from graft.cli.merge_composites import Maker
from graft.cli.merge_orders import RIDGE, Order, Plan
from graft.config.models import PathModel
from graft.encoders import features
from graft.encoders.architecture import is_finite
from graft.encoders.inference import Batch, batches, first_texts, padded_tokens, pair_flops, pass_flops
from graft.encoders.models import encoder_of, load_classifier, load_encoder, projections_of
from graft.encoders.network import Classifier, Encoder
from graft.encoders.pretrained import fetch_model
from graft.encoders.tensor_names import is_pooler
from graft.flops.counts import encoder_flops, head_flops, logits_flops, moments_flops, similarity_flops
from graft.io import files
from graft.io.model_folders import CONFIG, label_names, open_folder
from graft.io.progress import Report
from graft.merging.alignment.cka import layer_similarity
from graft.merging.calibration import calibrate, check_tokens
from graft.merging.classifier_heads.fitting import fit_heads, label_targets
from graft.merging.classifier_heads.head import Head, head_logits, unfitted
from graft.merging.composite.facts import Composite
from graft.merging.facts import Weights
from graft.merging.heterogeneous.interpolate.maths import interpolated_head
from graft.merging.protocol import Parts, deepened
from graft.merging.saving import save_classifier, split_classifier
from graft.registry import depth, methods
from graft.registry.families.family import unlike_heads
from graft.registry.shapes import Shape
from graft.registry.tasks import TaskRow
from graft.tasks import alike, guessing
from graft.tasks.labels import check_variety
from graft.tasks.readers import rows_of
from graft.tasks.spans import PairedSplit, side
from graft.tasks.texts import read_texts
from graft.tasks.tokens import TokenisedSplit
from graft.tasks.tsv import read_tsv
from graft.tasks.vocabularies import Reader, check_spans, read_by, shared_rows

# Names for the parts of a shape that are not plural nouns.
COUNTED = {"types": "token types", "vocabulary": "word embeddings"}
# Rows on which a head is fitted.
FIT_ROWS = 2048
FEWEST_ROWS = 10
REGRESSION, MULTI_LABEL = "regression", "multi_label_classification"


def merge(order: Order, report: Report, dry_run: bool = False) -> Plan:
    """Merge two folders into `order.out`, or with `dry_run` only plan the merge.

    The result is a plain Hugging Face classifier of the large shape, or a composite in a folder that stands alone, with
    a model card (README.md) and provenance (graft.json). Raises ValueError, and writes nothing, if the output folder
    exists, a folder is missing, an architecture is not BERT, the small model is larger than the large one, tokenizers
    have no span of text in common, the text has fewer tokens than a space needs, weights are not finite, or the
    labelled file does not fit the fine-tuned model's labels.
    """
    facts, pretrained = _checked(order)
    options = facts.checked(order.options)
    with tempfile.TemporaryDirectory(prefix="graft-") as scratch:
        report(0, 0, "reading the models and the text")
        given = _read(order, pretrained, Path(scratch))
        if isinstance(options, Composite):
            maker = Maker(order, options, given, _fit_texts(order, given), Path(scratch), report)
            if not dry_run:
                maker.make()
            return maker.plan()
        fit = _fit_texts(order, given) if options.heads else None
        plan = _plan(order, options, given, fit, report)
        if not dry_run:
            _carry_out(order, plan, given, fit, report)
    return plan


@dataclass(frozen=True)
class _Given:
    """The models and texts of an order, read and checked."""

    large: Encoder
    small: Encoder
    finetuned: Classifier
    large_folder: Path
    shapes: tuple[Shape, Shape]
    """Of the small and of the large model."""
    readers: tuple[Reader, ...]
    """Of the large model and, if that reads other tokens, of the small one."""
    texts: TokenisedSplit | PairedSplit
    max_tokens: int
    projections: tuple[Tensor, ...]

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the fine-tuned model's outputs."""
        config = self.finetuned.config
        return tuple(config.id2label[i] for i in range(config.num_labels))

    @property
    def kind(self) -> str:
        """transformers' `problem_type` of the fine-tuned model.

        Without one in the config, it follows what transformers does: sigmoid for one output, softmax for several.
        """
        unsaid = MULTI_LABEL if len(self.outputs) == 1 else "single_label_classification"
        return self.finetuned.config.problem_type or unsaid

    @property
    def labels(self) -> tuple[str, ...] | None:
        """The names of the outputs as classes; None for scores."""
        return None if self.kind == REGRESSION else self.outputs

    def first(self, tokens: int) -> np.ndarray:
        """Rows of whole texts in a fixed order, until `tokens` tokens are read."""
        return first_texts(self.texts, self.max_tokens, tokens)

    def batches(self, tokens: int) -> list[Batch]:
        return [batch for _, batch in batches(self.texts, self.max_tokens, self.first(tokens))]

    def count(self, rows: np.ndarray) -> int:
        return int(self.texts.lengths(self.max_tokens)[rows].sum())

    def spans(self, rows: np.ndarray) -> int:
        """Number of spans of some rows; 0 where both models read the same tokens."""
        return self.texts.count(rows, self.max_tokens) if isinstance(self.texts, PairedSplit) else 0

    @property
    def rows(self) -> Tensor | None:
        """As `Parts.rows`."""
        large, *small = self.readers
        return torch.from_numpy(shared_rows(small[0], large)) if small else None

    def pass_flops(self, role: str, texts: TokenisedSplit | PairedSplit, rows: np.ndarray) -> int:
        """FLOPs of running the large or the small encoder alone over some rows."""
        shape = self.shapes[role == "large"]
        return pass_flops(partial(encoder_flops, shape), side(texts, role), self.max_tokens, rows)


@dataclass(frozen=True)
class _FitTexts:
    """The data a head is fitted on: rows of texts, and their labels for the labelled head."""

    texts: TokenisedSplit | PairedSplit
    rows: np.ndarray
    labels: Tensor | None = None

    @property
    def held(self) -> Tensor:
        """Mask of the held-out rows that decide the ridge size: every fifth."""
        return torch.arange(len(self.rows)) % 5 == 0


def _checked(order: Order) -> tuple[type[Weights] | type[Composite], Path]:
    """The method, and the folder of the pre-trained small model, which is always needed."""
    facts = methods.facts(order.method, *methods.KINDS)
    composite = facts.kind == "composite"
    if composite:
        merge_composites.check(facts, order)
    if order.small_pretrained is None:
        raise ValueError("the small model before its fine-tuning is needed; give --small-pretrained DIR")
    if facts.heads and order.head not in facts.heads:
        raise ValueError(f"--head: no head is called {order.head!r}; available: {', '.join(facts.heads)}")
    if facts.heads and order.head == "labelled" and order.labelled is None:
        raise ValueError("--head labelled: needs labels; give --labelled FILE.tsv")
    if order.labelled is not None and not composite and not (facts.heads and order.head == "labelled"):
        raise ValueError("--labelled: only used with --head labelled; add that, or leave it out")
    if not facts.heads and order.head != Order.head:
        raise ValueError(f"--head {order.head}: {facts.name} makes its own head; leave it out")
    if not math.isfinite(order.strength):
        raise ValueError(f"--strength {order.strength}: must be a finite number")
    if order.device not in ("cpu", "cuda") or (order.device == "cuda" and not torch.cuda.is_available()):
        raise ValueError(f"--device {order.device}: must be cpu, or cuda where torch sees a GPU")
    files.check_new(order.out)
    return facts, order.small_pretrained


def _read(order: Order, pretrained: Path, scratch: Path) -> _Given:
    folders = {"--large": order.large, "--small-pretrained": pretrained}
    for flag, folder in folders.items():
        fetch_model(PathModel(kind="path", folder=str(folder)), flag, scratch / flag, "")
    _check_labels(order.small_finetuned)
    large_shape, small_shape = (Shape.of(scratch / flag) for flag in folders)
    tuned_shape = Shape.of(order.small_finetuned)
    two = alike.apart(order.large, pretrained) is not None
    # Numbers of positions must be equal where both models have a table of them.
    tables = ["vocabulary"] * (not two) + ["positions"] * bool(small_shape.position_rows and large_shape.position_rows)
    for what in vars(small_shape):
        ours, tuned, theirs = (getattr(shape, what) for shape in (small_shape, tuned_shape, large_shape))
        if ours != tuned:
            raise ValueError(f"--small-finetuned has {what} {tuned}, --small-pretrained {ours}; they must be equal")
        if what in tables and ours != theirs:
            counted = COUNTED.get(what, what)
            raise ValueError(f"the small model has {ours} {counted}, the large one {theirs}; they must be equal")
        if what in ("layers", "width", "ffn") and ours > theirs:
            raise ValueError(f"the small model has {what} {ours}, more than the large one's {theirs}; swap the folders")
    if why := methods.facts(order.method).refusal(small_shape, large_shape):
        raise ValueError(f"--method {order.method}: {why}; use another method")
    unlike = unlike_heads(small_shape.kind, large_shape.kind)
    if order.head == "transplant" and methods.facts(order.method).heads and unlike:
        raise ValueError(f"--head transplant: {unlike}; use label-free or labelled")
    # Compare the folders as given: the pre-trained small model may have no tokenizer.
    alike.check_alike(pretrained if two else order.large, order.small_finetuned)
    readers = tuple(Reader.of(scratch / flag) for flag in folders)[: 1 + two]
    if two:
        check_spans(readers[0], readers[1], f"{order.large} and {pretrained}")
    texts = read_by(readers, read_texts(order.text), str(order.text))
    models: dict[str, Any] = {flag: load_encoder(scratch / flag) for flag in folders}
    models["--small-finetuned"] = load_classifier(order.small_finetuned)
    for flag, model in models.items():
        bad = next((name for name, t in model.state_dict().items() if not is_finite(t)), None)
        if bad:
            raise ValueError(f"{flag}: {bad} contains values that are not finite; the model is damaged")
    if pretrained.resolve() == order.small_finetuned.resolve():
        raise ValueError(
            f"--small-pretrained {pretrained}: the same as --small-finetuned; name the model before its fine-tuning"
        )
    large, small, finetuned = (model.to(order.device) for model in models.values())
    return _Given(
        large,
        small,
        finetuned,
        large_folder=scratch / "--large",
        shapes=(small_shape, large_shape),
        readers=readers,
        texts=texts,
        max_tokens=min(order.max_tokens, large_shape.positions, small_shape.positions),
        projections=projections_of(scratch / "--small-pretrained"),
    )


def _check_labels(finetuned: Path) -> None:
    config = open_folder(finetuned, "--small-finetuned").config
    try:
        label_names(config)
    except ValueError as error:
        raise ValueError(f"{finetuned / CONFIG}: {error}") from None


def _fit_texts(order: Order, given: _Given) -> _FitTexts:
    texts, values = given.texts, None
    if order.labelled is not None:
        if given.kind == MULTI_LABEL or (given.labels is None and len(given.outputs) > 1):
            if given.finetuned.config.problem_type is None and len(given.outputs) == 1:
                raise ValueError(
                    f"--small-finetuned has one output, and {order.small_finetuned / CONFIG} does not say which kind: "
                    'write "problem_type": "regression" there if it is a score'
                )
            raise ValueError(
                f"--head labelled needs one class or one score per text, but --small-finetuned gives "
                f"{given.kind} with {len(given.outputs)} outputs; use transplant or label-free"
            )
        texts, values = read_labelled(order.labelled, given.labels, given.readers)
    rows = features.fit_rows(len(texts), FIT_ROWS)
    if len(rows) < FEWEST_ROWS:
        raise ValueError(f"fitting a head needs at least {FEWEST_ROWS} texts, not {len(rows)}; give more text")
    return _FitTexts(texts, rows, None if values is None else torch.from_numpy(values[rows]))


def _plan(order: Order, options: Weights, given: _Given, fit: _FitTexts | None, report: Report) -> Plan:
    shapes, layers = given.shapes, (given.shapes[0].layers, given.shapes[1].layers)
    named = options.depth
    depth_map = () if named == "cka" else depth.named(named, *layers, ())
    again = given.count(given.first(options.text_tokens)) if "texts" in options.needs else 0
    cost = options.flops(*shapes, again)
    flops = {"prepare": cost.prepare, "apply": cost.apply}
    texts = tokens = spans = 0
    if options.needs_calibration:
        rows = given.first(order.tokens)
        texts, tokens, spans = len(rows), given.count(rows), given.spans(rows)
        check_tokens(spans or tokens, shapes[1], str(order.text))
        if named == "cka":
            report(0, 0, "comparing all layers, for the depth map")
            few = given.first(depth.SIMILARITY_TOKENS)
            similarity = layer_similarity(given.small, given.large, given.batches(depth.SIMILARITY_TOKENS))
            depth_map = depth.named(named, *layers, similarity[1:, 1:].tolist())
            compared = pair_flops(*shapes, given.texts, given.max_tokens, few)
            flops["similarity"] = compared + similarity_flops(*shapes, given.count(few))
        deep = depth.as_deep(named, *shapes), shapes[1]
        padded = int(padded_tokens(given.texts, given.max_tokens, rows).sum())
        flops["calibrate"] = pair_flops(*deep, given.texts, given.max_tokens, rows)
        flops["calibrate"] += moments_flops(*deep, len(depth_map), padded)
    if fit is not None:
        flops["head"] = _head_flops(order.head, given, fit)
    return Plan(shapes[1], shapes[0], depth_map, options, texts, tokens, flops, spans)


def _head_flops(kind: str, given: _Given, fit: _FitTexts) -> int:
    """FLOPs of `_head`: the models' passes over the texts, the fit at every ridge size, and the final fit."""
    outputs, rows, held = given.finetuned.config.num_labels, len(fit.rows), int(fit.held.sum())
    small, large = given.shapes
    flops = given.pass_flops("large", fit.texts, fit.rows)
    if fit.labels is None:
        flops += given.pass_flops("small", fit.texts, fit.rows) + rows * logits_flops(small, outputs)
    flops += head_flops(kind, small, large, outputs, rows - held, len(RIDGE), scored=held)
    return flops + head_flops(kind, small, large, outputs, rows, 1)


def _carry_out(order: Order, plan: Plan, given: _Given, fit: _FitTexts | None, report: Report) -> None:
    tuned, small_head = split_classifier(given.finetuned)
    bodies = given.large.state_dict(), tuned, given.small.state_dict()
    texts = given.batches(plan.options.text_tokens) if "texts" in plan.options.needs else ()
    shapes = plan.large, plan.small, plan.depth_map
    parts = Parts(*bodies, *shapes, None, plan.options, texts, given.projections, given.rows, report)
    parts = deepened(parts)
    if plan.options.needs_calibration:
        small = encoder_of(parts.small_pretrained, parts.small_shape)
        compared = given.batches(order.tokens)
        count = _counted(report, plan.texts, "texts compared")
        parts = replace(parts, moments=calibrate(small, given.large, parts.depth_map, compared, count))
    merger = methods.implementation(plan.options.name)()
    state = merger.prepare(parts.to(order.device))
    report(0, 0, "adding up the merged weights")
    merged = merger.apply(state, order.strength)
    if fit is not None:
        head = _head(order.head, merged, small_head, given, fit, report)
    else:
        head = interpolated_head(small_head, merged, order.strength)
    report(0, 0, "writing the merged model")
    with files.atomic_folder(order.out, new=True) as target:
        save_classifier(merged, head, given.large_folder, given.outputs, target, given.kind)
        merge_card.write(target, order, plan, dict(getattr(state, "diagnostics", {})))


def _counted(report: Report, total: int, text: str) -> Callable[[int], None]:
    """Make a callback that is called with increments and reports the running total."""
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        report(done, total, text)

    return count


def _head(
    kind: str, merged: dict[str, Tensor], small_head: Head, given: _Given, fit: _FitTexts, report: Report
) -> Head:
    """Fit the head on the merged body; its ridge size is the best one on every fifth text, held out."""

    def states(model: Encoder, which: str, role: str) -> Tensor:
        count = _counted(report, len(fit.rows), f"texts read by the {which} model")
        found = features.cls_states(model, side(fit.texts, role), given.max_tokens, fit.rows, count)
        return torch.from_numpy(found).double()

    # Copy the model, since the parts of the merge share its memory.
    body = copy.deepcopy(given.large)
    body.load_state_dict(merged)
    hidden = states(body, "merged", "large")
    own = unfitted({name: tensor.cpu() for name, tensor in merged.items() if is_pooler(name)}, given.shapes[1])
    if fit.labels is None:
        small_head = small_head.to(torch.zeros((), dtype=small_head.pooler_weight.dtype))
        by_row = {"small_hidden": states(given.finetuned.bert, "small", "small")}
        whole: dict[str, Any] = {"small_head": small_head}
        wanted = head_logits(small_head, by_row["small_hidden"])
    else:
        by_row = {"labels": fit.labels}
        whole = {"classes": None if given.labels is None else len(given.labels)}
        wanted = label_targets(fit.labels, whole["classes"])

    def fitted(rows: Tensor, sizes: tuple[float, ...]) -> dict[float, Head]:
        known = whole | {name: values[rows] for name, values in by_row.items()}
        return fit_heads(kind, hidden[rows], own, sizes, **known)

    report(0, 0, "fitting the head")
    everyone = torch.arange(len(hidden))
    tried = fitted(everyone[~fit.held], RIDGE)
    held = hidden[fit.held]
    errors = {size: float((head_logits(head, held) - wanted[fit.held]).norm()) for size, head in tried.items()}
    best = min(errors, key=errors.__getitem__)
    return fitted(everyone, (best,))[best]


def read_labelled(
    path: Path, labels: tuple[str, ...] | None, readers: Sequence[Reader]
) -> tuple[TokenisedSplit | PairedSplit, np.ndarray]:
    """Read texts and labels from a TSV with a header: one or two columns of text, then the label.

    readers: as for `read_by`. Columns that number the rows are skipped. Raises ValueError if the file or its columns do
    not fit, and like `read_tsv` and `rows_of`.
    """
    if not path.is_file():
        raise ValueError(f"--labelled: {path} is not a file; a TSV with the label in the last column is needed")
    table = guessing.named_columns(read_tsv(path), path)
    *texts, label = table.columns
    if len(texts) not in (1, 2):
        found = f"{len(table.columns)} columns ({', '.join(table.columns)})"
        raise ValueError(f"{path}: {found}; one or two texts and then the label are needed")
    named = [name for name in texts if name.lower() in guessing.LABEL_NAMES]
    if named and label.lower() not in guessing.LABEL_NAMES:
        raise ValueError(f"{path}: the label column {named[0]} is not the last; move it to the end")
    row = TaskRow(tuple(texts), label, (), labels)
    rows = rows_of(table, row, path, "train")
    check_variety(rows["label"], row, path, "train")
    columns = [rows[name].tolist() for name in ("text_a", "text_b") if name in rows]
    return read_by(readers, columns, str(path)), rows["label"].to_numpy()
