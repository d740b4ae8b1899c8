"""Split a classifier into body and head, and write one as a plain Hugging Face folder."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from graft.encoders.architecture import POOLER_NORM, check_body, check_tensors, is_finite
from graft.encoders.models import load_config, set_labels
from graft.encoders.network import Classifier
from graft.encoders.tensor_names import is_pooler
from graft.encoders.translation import stored_classifier
from graft.io import files
from graft.merging.classifier_heads.head import Head, unfitted
from graft.registry.shapes import Shape


def split_classifier(model: Classifier) -> tuple[dict[str, Tensor], Head]:
    """Copies of a classifier's body (names without "bert.") and head."""
    body = {name: tensor.detach().clone() for name, tensor in model.bert.state_dict().items()}
    own = unfitted({name: tensor.clone() for name, tensor in body.items() if is_pooler(name)}, model.shape)
    classifier = model.classifier.weight.detach().clone(), model.classifier.bias.detach().clone()
    return body, replace(own, classifier_weight=classifier[0], classifier_bias=classifier[1])


def save_classifier(
    body: Mapping[str, Tensor],
    head: Head,
    large_folder: str | Path,
    labels: tuple[str, ...] | None,
    out_folder: str | Path,
    kind: str | None = None,
) -> None:
    """Write body and head, in float32, as a folder that `AutoModelForSequenceClassification.from_pretrained` loads.

    Config and tokenizer files come from `large_folder`; `labels` None means one score; `kind` as in `set_labels`. The
    head's pooler replaces the body's. Raises ValueError naming a tensor that does not fit the config or the labels.
    """
    large_folder = Path(large_folder)
    shape = Shape.of(large_folder)
    check_body(body, shape, "body to be saved")
    width, outputs = shape.width, 1 if labels is None else len(labels)
    family = shape.kind
    sizes = {"pooler_weight": (width, width), "pooler_bias": (width,)}
    sizes |= {"classifier_weight": (outputs, width), "classifier_bias": (outputs,)}
    check_tensors(head.tensors, sizes | ({"pooler_norm": (width,)} if family.head.norm else {}), "head to be saved")
    if head.activation != family.head.activation:
        raise ValueError(f"head to be saved: it has {head.activation}, but {shape.family} {family.head.activation}")
    if not family.biased and head.pooler_bias.any():
        raise ValueError(f"head to be saved: its first layer has a bias, but that of {shape.family} has none")
    pooler = {"pooler.dense.weight": head.pooler_weight}
    pooler |= {"pooler.dense.bias": head.pooler_bias} if family.biased else {}
    pooler |= {} if head.pooler_norm is None else {f"{POOLER_NORM}.weight": head.pooler_norm}
    tensors = {f"bert.{name}": tensor for name, tensor in {**body, **pooler}.items()}
    tensors |= {"classifier.weight": head.classifier_weight, "classifier.bias": head.classifier_bias}
    tensors = stored_classifier(tensors, shape)
    for name, tensor in tensors.items():
        if not is_finite(tensor):
            raise ValueError(f"merged model: {name} holds values that are not finite, so it is not saved")
    config = load_config(large_folder)
    set_labels(config, labels, kind)
    config.dtype = torch.float32
    with files.atomic_folder(out_folder) as folder:
        plain = {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in tensors.items()}
        save_file(plain, folder / "model.safetensors", metadata={"format": "pt"})
        config.save_pretrained(folder)
        files.copy_into(large_folder, folder, files.TOKENIZER)
