"""Merge one encoder for several tasks: embeddings and layers are merged, while each task keeps its own head, the pooler
and classifier of its fine-tuned model."""

import math
from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from graft.encoders import translation
from graft.encoders.models import load_classifier, load_encoder
from graft.encoders.network import Classifier
from graft.flops.one_shape import merge_flops
from graft.io import files
from graft.making.one_shape.combination import Combination, Combined
from graft.merging.card import CARD
from graft.merging.saving import save_classifier, split_classifier

# Name prefixes of the tensors of a classifier's head.
HEAD = ("bert.pooler.", "classifier.")
# Name of the encoders' metric in the record of a choice.
SHARE = "mean over tasks of the metric as a share of the fine-tuned model's"


def encoder(one: Combination, out: Path) -> Combined:
    """Merge the encoders of all tasks' fine-tuned models into folder `out`; the strength is chosen on `select` of all
    tasks together.

    Writes encoder.safetensors, with tensor names as in a classifier, and the model card.
    """
    heads = {source.task: load_classifier(source.folder) for source in one.sources}
    own = {source.task: source.made["select"]["value"] for source in one.sources}
    scores: dict[float, dict[str, float]] = {}

    def base() -> dict[str, Tensor]:
        body = load_encoder(one.pretrained).state_dict()
        return translation.stored_classifier({f"bert.{name}": tensor for name, tensor in body.items()}, one.shape)

    def score(strength: float, body: dict[str, Tensor]) -> float:
        scores[strength] = {task: one.score(task, with_encoder(model, body)) for task, model in heads.items()}
        return share_of_own(scores[strength], own)

    head = one.shape.kind.head
    with one.merging(one.sources, base, hidden=(f"{head.dense}.", f"{head.out}.")) as merged:
        choice, body, plan = one.best(merged, score)
    save_file(body, out / "encoder.safetensors")
    note = "\nEmbeddings and layers were merged; pooler and classifier come from the task's own fine-tuning.\n"
    (out / CARD).write_text(one.card(plan, note))
    flops, count = one.sources_flops(), len(choice.searched)
    # An encoder that was searched for is merged once more, to be saved.
    merged_times = count + (count > 1)
    flops[f"{one.name}/merge"] = merged_times * merge_flops(one.facts.name, one.shape, None, len(one.sources))
    flops[f"{one.name}/select"] = count * sum(map(one.select_flops, heads))
    records = choice.records(SHARE) if count > 1 else []
    return Combined(records, scores[choice.chosen.strength], flops, {**one.settings, "tasks": list(heads)})


def share_of_own(scores: Mapping[str, float], own: Mapping[str, float]) -> float:
    """Mean over tasks of the score on `select` relative to that of the task's own fine-tuned model.

    If that model's score is 0 or less, the task's score is not divided.
    """
    return math.fsum(score / own[task] if own[task] > 0 else score for task, score in scores.items()) / len(scores)


def under_head(tuned: Path, merged: Path, pretrained: Path, labels: tuple[str, ...] | None, out: Path) -> None:
    """Write a task's classifier: the encoder of `merged` with the pooler and classifier of the folder `tuned`."""
    model = with_encoder(load_classifier(tuned), load_file(merged / "encoder.safetensors"))
    save_classifier(*split_classifier(model), pretrained, labels, out)
    files.copy_into(merged, out, (CARD,))


def with_encoder(model: Classifier, body: Mapping[str, Tensor]) -> Classifier:
    """Replace a classifier's embeddings and layers by `body`; raises ValueError unless `body` holds exactly these."""
    found = model.load_state_dict(translation.classifier(body, model.shape), strict=False)
    if wrong := [*found.unexpected_keys, *(name for name in found.missing_keys if not name.startswith(HEAD))]:
        raise ValueError(f"merged encoder: {wrong[0]} is not in the classifier's embeddings and layers")
    return model
