"""Systems that predict batches: classifiers, probes, composites, constants."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from graft.encoders.network import Classifier, Encoder
from graft.encoders.states import Frozen, pool
from graft.flops.counts import classifier_flops, encoder_flops, linear_flops
from graft.merging.classifier_heads.ridge import LinearMap
from graft.merging.composite.trained import Trained
from graft.registry.shapes import Shape

Batch = Mapping[str, Tensor]
Answer = Callable[[Batch], Tensor]


class Predictor:
    """A system that predicts batches, on the CPU until it is moved.

    modules: what is moved to a device. answer: logits (or scores) [b, c] of a batch on their device. flops: forward
    FLOPs of one example, by its padded number of tokens. heads: linear maps beside the modules. `parameters` and
    `bytes` are those that inference needs.
    """

    def __init__(
        self, modules: Iterable[nn.Module], answer: Answer, flops: Callable[[int], int], heads: Sequence[LinearMap] = ()
    ) -> None:
        self.modules, self.answer, self.flops = list(modules), answer, flops
        tensors: list[Tensor] = [tensor for module in self.modules for tensor in module.parameters()]
        tensors += [tensor for head in heads for tensor in (head.weight, head.bias)]
        self.parameters = sum(tensor.numel() for tensor in tensors)
        self.bytes = sum(tensor.nbytes for tensor in tensors)
        self._device: str | torch.device = "cpu"

    @torch.inference_mode()
    def logits(self, batch: Batch) -> Tensor:
        """Logits (or scores) [b, c], without gradients, on the system's device."""
        names = "input_ids", "attention_mask", "token_type_ids"
        return self.answer({name: batch[name].to(self._device) for name in names})

    def to(self, device: str | torch.device) -> Self:
        """This system, moved to a device."""
        for module in self.modules:
            module.to(device)
        self._device = device
        return self


def classifier(model: Classifier, shape: Shape) -> Predictor:
    """A fine-tuned or merged classifier."""
    outputs = model.config.num_labels
    return Predictor([model], lambda batch: model(**batch).logits, lambda t: classifier_flops(shape, t, outputs))


def probe(encoders: Sequence[Encoder], shapes: Sequence[Shape], pooling: str, head: LinearMap) -> Predictor:
    """Frozen encoders without their poolers, a pooling over tokens, and a linear map of their concatenated states."""
    for encoder in encoders:
        encoder.pooler = None  # a probe reads the last hidden states

    def answer(batch: Batch) -> Tensor:
        states = (encoder(**batch).last_hidden_state for encoder in encoders)
        return head(torch.cat([pool(state, batch["attention_mask"], pooling) for state in states], dim=1))

    on_states = linear_flops(sum(shape.width for shape in shapes), len(head.bias))
    return Predictor(encoders, answer, lambda t: sum(encoder_flops(s, t) for s in shapes) + on_states, [head])


def trained(module: Trained, frozen: Mapping[str, Frozen], flops: Callable[[int], int]) -> Predictor:
    """A trained module and the frozen models whose states it reads, by the states' key in its batch."""

    def answer(batch: Batch) -> Tensor:
        return module.answer(**batch, **{name: model(batch) for name, model in frozen.items()})

    return Predictor([module, *frozen.values()], answer, flops)


def mixed(parts: Sequence[Predictor], mix: Callable[..., Tensor]) -> Predictor:
    """Several systems whose logits are mixed."""
    found = Predictor(
        [module for part in parts for module in part.modules],
        lambda batch: mix(*(part.answer(batch) for part in parts)),
        lambda tokens: sum(part.flops(tokens) for part in parts),
    )
    found.parameters, found.bytes = sum(part.parameters for part in parts), sum(part.bytes for part in parts)
    return found


def constant(logits: Sequence[float]) -> Predictor:
    """The same logits for every text."""
    row = torch.tensor(logits)

    def answer(batch: Batch) -> Tensor:
        return row.to(batch["input_ids"].device).expand(len(batch["input_ids"]), -1)

    return Predictor([], answer, lambda tokens: 0)
