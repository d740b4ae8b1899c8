"""Systems that predict batches: classifiers, probes, composites, constants."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from graft.encoders.inference import Split, pass_flops
from graft.encoders.network import Classifier, Encoder
from graft.encoders.spans import read_by
from graft.encoders.states import Frozen, pool
from graft.flops.counts import classifier_flops, encoder_flops, linear_flops
from graft.merging.classifier_heads.ridge import LinearMap
from graft.merging.composite.trained import Trained
from graft.registry.shapes import Shape
from graft.tasks.spans import PairedSplit

Batch = Mapping[str, Tensor]
Answer = Callable[[Batch], Tensor]


class Predictor:
    """A system that predicts batches, on the CPU until it is moved.

    modules: what is moved to a device. answer: logits (or scores) [b, c] of a batch on their device. flops: forward
    FLOPs of one example, by its padded number of tokens. heads: linear maps beside the modules. small_flops: the part
    of the FLOPs that goes by the small model's tokens, where those are others. `parameters` and `bytes` are those that
    inference needs.
    """

    def __init__(
        self,
        modules: Iterable[nn.Module],
        answer: Answer,
        flops: Callable[[int], int],
        heads: Sequence[LinearMap] = (),
        small_flops: Callable[[int], int] = lambda tokens: 0,
    ) -> None:
        self.modules, self.answer, self.flops, self.small_flops = list(modules), answer, flops, small_flops
        tensors: list[Tensor] = [tensor for module in self.modules for tensor in module.parameters()]
        tensors += [tensor for head in heads for tensor in (head.weight, head.bias)]
        self.parameters = sum(tensor.numel() for tensor in tensors)
        self.bytes = sum(tensor.nbytes for tensor in tensors)
        self._device: str | torch.device = "cpu"

    @torch.inference_mode()
    def logits(self, batch: Batch) -> Tensor:
        """Logits (or scores) [b, c], without gradients, on the system's device."""
        return self.answer({name: tensor.to(self._device) for name, tensor in batch.items()})

    def pass_flops(self, tokens: Split, max_tokens: int) -> int:
        """FLOPs of a pass over a split."""
        if not isinstance(tokens, PairedSplit):
            return pass_flops(self.flops, tokens, max_tokens)
        of_large = pass_flops(lambda t: self.flops(t) - self.small_flops(t), tokens.large, max_tokens)
        return of_large + pass_flops(self.small_flops, tokens.small, max_tokens)

    def to(self, device: str | torch.device) -> Self:
        """This system, moved to a device."""
        for module in self.modules:
            module.to(device)
        self._device = device
        return self


def classifier(model: Classifier, shape: Shape) -> Predictor:
    """A fine-tuned or merged classifier."""
    outputs = model.config.num_labels
    return Predictor(
        [model], lambda batch: model(**read_by("large", batch)).logits, lambda t: classifier_flops(shape, t, outputs)
    )


def probe(encoders: Mapping[str, Encoder], pooling: str, head: LinearMap) -> Predictor:
    """Frozen encoders, "small" or "large", without their poolers, a pooling over tokens, and a linear map of their
    concatenated states."""
    shapes = {role: encoder.shape for role, encoder in encoders.items()}
    for encoder in encoders.values():
        encoder.pooler = None  # a probe reads the last hidden states

    def answer(batch: Batch) -> Tensor:
        read = ((encoder, read_by(role, batch)) for role, encoder in encoders.items())
        pooled = [pool(encoder(**own).last_hidden_state, own["attention_mask"], pooling) for encoder, own in read]
        return head(torch.cat(pooled, dim=1))

    def flops(tokens: int, roles: Iterable[str] = tuple(shapes)) -> int:
        return sum(encoder_flops(shapes[role], tokens) for role in roles)

    on_states, small = (
        linear_flops(sum(shape.width for shape in shapes.values()), len(head.bias)),
        {"small"} & {*shapes},
    )
    return Predictor(encoders.values(), answer, lambda t: flops(t) + on_states, [head], lambda t: flops(t, small))


def trained(
    module: Trained, frozen: Mapping[str, Frozen], flops: Callable[[int], int], small_flops: Callable[[int], int]
) -> Predictor:
    """A trained module and the frozen models whose states it reads, "large" or "small"."""

    def answer(batch: Batch) -> Tensor:
        return module.answer(**batch, **{role: model(read_by(role, batch)) for role, model in frozen.items()})

    return Predictor([module, *frozen.values()], answer, flops, small_flops=small_flops)


def mixed(parts: Sequence[Predictor], mix: Callable[..., Tensor], roles: Sequence[str]) -> Predictor:
    """Several systems whose logits are mixed; `roles`: whose tokens each reads, the "large" or the "small" model's."""
    found = Predictor(
        [module for part in parts for module in part.modules],
        lambda batch: mix(*(part.answer(read_by(role, batch)) for part, role in zip(parts, roles, strict=True))),
        lambda tokens: sum(part.flops(tokens) for part in parts),
        small_flops=lambda t: sum(p.flops(t) for p, role in zip(parts, roles, strict=True) if role == "small"),
    )
    found.parameters, found.bytes = sum(part.parameters for part in parts), sum(part.bytes for part in parts)
    return found


def constant(logits: Sequence[float]) -> Predictor:
    """The same logits for every text."""
    row = torch.tensor(logits)

    def answer(batch: Batch) -> Tensor:
        return row.to(batch["input_ids"].device).expand(len(batch["input_ids"]), -1)

    return Predictor([], answer, lambda tokens: 0)
