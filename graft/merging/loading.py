"""Loading any system that `evaluate` can run: a classifier folder or a composite."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from transformers import BertForSequenceClassification, BertModel

from graft.cost.flops import classifier_flops, encoder_flops, linear_flops
from graft.encoders import load_classifier, load_encoder
from graft.merging.composite import manifest
from graft.merging.composite.logit_ensemble import combine
from graft.merging.heads.pooling import pool
from graft.merging.heads.ridge import LinearMap
from graft.shapes import Shape

Batch = Mapping[str, Tensor]


class Predictor(Protocol):
    """A system that answers batches. `parameters` and `bytes` are those that inference needs."""

    parameters: int
    bytes: int

    def logits(self, batch: Batch) -> Tensor:
        """Logits (or scores) [b, c], without gradients, on the system's device."""

    def flops(self, tokens: int) -> int:
        """Forward FLOPs of one example padded to `tokens`."""

    def to(self, device: str | torch.device) -> "Predictor":
        """This system, moved to a device."""


def load(folder: str | Path) -> Predictor:
    """The system saved in `folder`, in float32 and eval mode on the CPU.

    Raises ValueError where the folder holds neither a composite nor a classifier, or a part of it is not what it was
    made from.
    """
    folder = Path(folder)
    if (folder / manifest.FILE).is_file():
        return _load_composite(manifest.read(folder))
    if (folder / "config.json").is_file():
        return ClassifierPredictor(load_classifier(folder), Shape.of(folder))
    raise ValueError(f"{folder}: holds no system; it must have {manifest.FILE} or config.json and model.safetensors")


def _load_composite(composite: manifest.Composite) -> Predictor:
    fields = composite.fields
    if composite.kind == "constant":
        return ConstantPredictor(fields["logits"])
    if composite.kind == "probe":
        folder = composite.path(fields["encoder"])
        shape = Shape.of(folder)
        return ProbePredictor(load_encoder(folder), shape, fields["pooling"], composite.head(shape.width))
    small, probe = (load(composite.path(fields["parts"][part])) for part in ("small", "probe"))
    scales = None if fields["scales"] is None else tuple(fields["scales"])
    return EnsemblePredictor(small, probe, fields["beta"], scales)


class ClassifierPredictor:
    """A fine-tuned or merged classifier."""

    def __init__(self, model: BertForSequenceClassification, shape: Shape) -> None:
        self._model, self._shape = model, shape
        self.parameters = sum(p.numel() for p in model.parameters())
        self.bytes = sum(p.numel() * p.element_size() for p in model.parameters())

    @torch.inference_mode()
    def logits(self, batch: Batch) -> Tensor:
        return self._model(**_inputs(batch, self._model.device)).logits

    def flops(self, tokens: int) -> int:
        return classifier_flops(self._shape, tokens, self._model.config.num_labels)

    def to(self, device: str | torch.device) -> "ClassifierPredictor":
        self._model.to(device)
        return self


class ProbePredictor:
    """A frozen encoder without its pooler, a pooling over tokens, and a linear map."""

    def __init__(self, encoder: BertModel, shape: Shape, pooling: str, head: LinearMap) -> None:
        encoder.pooler = None  # a probe reads the last hidden states
        self._encoder, self._shape, self._pooling, self._head = encoder, shape, pooling, head
        tensors = [*encoder.parameters(), head.weight, head.bias]
        self.parameters = sum(t.numel() for t in tensors)
        self.bytes = sum(t.numel() * t.element_size() for t in tensors)

    @torch.inference_mode()
    def logits(self, batch: Batch) -> Tensor:
        inputs = _inputs(batch, self._encoder.device)
        hidden = self._encoder(**inputs).last_hidden_state
        return self._head(pool(hidden, inputs["attention_mask"], self._pooling))

    def flops(self, tokens: int) -> int:
        return encoder_flops(self._shape, tokens) + linear_flops(self._shape.width, len(self._head.bias))

    def to(self, device: str | torch.device) -> "ProbePredictor":
        self._encoder.to(device)
        return self


class EnsemblePredictor:
    """The weighted mean of two systems' logits."""

    def __init__(self, small: Predictor, probe: Predictor, beta: float, scales: tuple[float, float] | None) -> None:
        self._small, self._probe, self._beta, self._scales = small, probe, beta, scales
        self.parameters = small.parameters + probe.parameters
        self.bytes = small.bytes + probe.bytes

    def logits(self, batch: Batch) -> Tensor:
        return combine(self._small.logits(batch), self._probe.logits(batch), self._beta, self._scales)

    def flops(self, tokens: int) -> int:
        return self._small.flops(tokens) + self._probe.flops(tokens)

    def to(self, device: str | torch.device) -> "EnsemblePredictor":
        self._small, self._probe = self._small.to(device), self._probe.to(device)
        return self


class ConstantPredictor:
    """The same answer for every text."""

    parameters = 0
    bytes = 0

    def __init__(self, logits: list[float]) -> None:
        self._logits = torch.tensor(logits)

    def logits(self, batch: Batch) -> Tensor:
        return self._logits.expand(len(batch["input_ids"]), -1)

    def flops(self, tokens: int) -> int:
        return 0

    def to(self, device: str | torch.device) -> "ConstantPredictor":
        self._logits = self._logits.to(device)
        return self


def _inputs(batch: Batch, device: torch.device) -> dict[str, Tensor]:
    return {name: batch[name].to(device) for name in ("input_ids", "attention_mask", "token_type_ids")}
