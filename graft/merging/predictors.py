"""Systems that predict batches: classifiers, probes, composites, constants."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor
from transformers import BertForSequenceClassification, BertModel

from graft.encoders.states import Frozen, pool
from graft.flops.counts import classifier_flops, encoder_flops, linear_flops
from graft.merging.classifier_heads.ridge import LinearMap
from graft.merging.composite.stitch import stitch_flops
from graft.merging.composite.stitch.maths import Stitched
from graft.merging.composite.trained import Trained
from graft.registry.cuts import Cut
from graft.registry.shapes import Shape

Batch = Mapping[str, Tensor]


class Predictor(Protocol):
    """A system that predicts batches. `parameters` and `bytes` are those that inference needs."""

    parameters: int
    bytes: int

    def logits(self, batch: Batch) -> Tensor:
        """Logits (or scores) [b, c], without gradients, on the system's device."""

    def flops(self, tokens: int) -> int:
        """Forward FLOPs of one example padded to `tokens`."""

    def to(self, device: str | torch.device) -> "Predictor":
        """This system, moved to a device."""


class ClassifierPredictor:
    """A fine-tuned or merged classifier."""

    def __init__(self, model: BertForSequenceClassification, shape: Shape) -> None:
        self._model, self._shape = model, shape
        self.parameters, self.bytes = _sizes(model.parameters())

    @torch.inference_mode()
    def logits(self, batch: Batch) -> Tensor:
        return self._model(**_inputs(batch, self._model.device)).logits

    def flops(self, tokens: int) -> int:
        return classifier_flops(self._shape, tokens, self._model.config.num_labels)

    def to(self, device: str | torch.device) -> "ClassifierPredictor":
        self._model.to(device)
        return self


class ProbePredictor:
    """Frozen encoders without their poolers, a pooling over tokens, and a linear map of their concatenated states."""

    def __init__(self, encoders: Sequence[BertModel], shapes: Sequence[Shape], pooling: str, head: LinearMap) -> None:
        for encoder in encoders:
            encoder.pooler = None  # a probe reads the last hidden states
        self._encoders, self._shapes, self._pooling, self._head = encoders, shapes, pooling, head
        tensors = [tensor for encoder in encoders for tensor in encoder.parameters()]
        self.parameters, self.bytes = _sizes([*tensors, head.weight, head.bias])

    @torch.inference_mode()
    def logits(self, batch: Batch) -> Tensor:
        inputs = _inputs(batch, self._encoders[0].device)
        pooled = [
            pool(encoder(**inputs).last_hidden_state, inputs["attention_mask"], self._pooling)
            for encoder in self._encoders
        ]
        return self._head(torch.cat(pooled, dim=1))

    def flops(self, tokens: int) -> int:
        width = sum(shape.width for shape in self._shapes)
        return sum(encoder_flops(s, tokens) for s in self._shapes) + linear_flops(width, len(self._head.bias))

    def to(self, device: str | torch.device) -> "ProbePredictor":
        for encoder in self._encoders:
            encoder.to(device)
        return self


class StitchPredictor:
    """The first layers of one model, a linear map, the last layers of another, a pooling, and a linear head."""

    def __init__(self, model: Stitched, shapes: tuple[Shape, Shape], cut: Cut, pooling: str, head: LinearMap) -> None:
        self._model, self._shapes, self._cut, self._pooling, self._head = model, shapes, cut, pooling, head
        self.parameters, self.bytes = _sizes([*model.parameters(), head.weight, head.bias])

    @torch.inference_mode()
    def logits(self, batch: Batch) -> Tensor:
        inputs = _inputs(batch, self._model.joint.weight.device)
        return self._head(pool(self._model(inputs), inputs["attention_mask"], self._pooling))

    def flops(self, tokens: int) -> int:
        head = linear_flops(self._shapes[1].width, len(self._head.bias))
        return stitch_flops(*self._shapes, self._cut, tokens) + head

    def to(self, device: str | torch.device) -> "StitchPredictor":
        self._model.to(device)
        return self


class TrainedPredictor:
    """A trained module and the frozen models whose states it reads, by the states' key in its batch.

    `flops` gives the forward FLOPs of the whole system for one example, by its padded number of tokens.
    """

    def __init__(self, module: Trained, frozen: Mapping[str, Frozen], flops: Callable[[int], int]) -> None:
        self._module, self._frozen, self._flops = module, frozen, flops
        parts = (module, *frozen.values())
        self.parameters, self.bytes = _sizes(tensor for part in parts for tensor in part.parameters())

    @torch.inference_mode()
    def logits(self, batch: Batch) -> Tensor:
        inputs = _inputs(batch, next(self._module.parameters()).device)
        states = {name: model(inputs) for name, model in self._frozen.items()}
        return self._module.answer(**inputs, **states)

    def flops(self, tokens: int) -> int:
        return self._flops(tokens)

    def to(self, device: str | torch.device) -> "TrainedPredictor":
        for part in (self._module, *self._frozen.values()):
            part.to(device)
        return self


class MixedPredictor:
    """Several systems whose logits are mixed."""

    def __init__(self, parts: Sequence[Predictor], mix: Callable[..., Tensor]) -> None:
        self._parts, self._mix = parts, mix
        self.parameters = sum(part.parameters for part in parts)
        self.bytes = sum(part.bytes for part in parts)

    def logits(self, batch: Batch) -> Tensor:
        return self._mix(*(part.logits(batch) for part in self._parts))

    def flops(self, tokens: int) -> int:
        return sum(part.flops(tokens) for part in self._parts)

    def to(self, device: str | torch.device) -> "MixedPredictor":
        self._parts = [part.to(device) for part in self._parts]
        return self


class ConstantPredictor:
    """The same logits for every text."""

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


def _sizes(tensors: Iterable[Tensor]) -> tuple[int, int]:
    """The numbers of parameters and of bytes."""
    tensors = list(tensors)
    return sum(t.numel() for t in tensors), sum(t.numel() * t.element_size() for t in tensors)
