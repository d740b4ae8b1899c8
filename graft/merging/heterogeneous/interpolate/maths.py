"""Interpolation of tensors paired by name: the floor that every other method must pass."""

from collections.abc import Mapping

import torch
from torch import Tensor

from graft.encoders.architecture import EMBEDDING_TABLES, POOLER_NORM
from graft.encoders.tensor_names import is_pooler
from graft.merging.classifier_heads.head import Head
from graft.merging.protocol import Method, Parts, check_parts, known_rows, shared_tables


class Interpolate(Method):
    """a small + (1 - a) large, padding the small model's tensors with zeros; `strength` is a, in [0, 1].

    Tensors are paired by name, so layer m with layer m whatever the depth map, the pooler too; large tensors without a
    partner, and embeddings of what only one model embeds, stay. Coordinates of two models mean different things, so
    chance is to be expected: use it as a floor only.
    """

    def prepare(self, parts: Parts, maps: None = None) -> tuple[Mapping[str, Tensor], dict[str, Tensor]]:
        """The large body and the padded small tensors by name."""
        check_parts(parts)
        padded, left = {}, {*EMBEDDING_TABLES} - {*shared_tables(parts)}
        for name, tensor in parts.small_finetuned.items():
            if name in left:
                continue
            if name not in parts.large:
                raise ValueError(f"interpolate: {name} of the small model has no partner in the large model")
            large = parts.large[name]
            if (known := known_rows(parts, name)) is None:
                padded[name] = padded_to(tensor, tuple(large.shape), name)
            else:
                padded[name] = large.clone()
                padded[name][known[1]] = padded_to(tensor[known[0]], (len(known[1]), large.shape[1]), name)
        return parts.large, padded

    def apply(self, state: tuple[Mapping[str, Tensor], dict[str, Tensor]], strength: float) -> dict[str, Tensor]:
        """The merged body."""
        large, small = state
        return {name: _mix(small[name], t, strength) if name in small else t.clone() for name, t in large.items()}


def interpolated_head(small_head: Head, body: Mapping[str, Tensor], strength: float) -> Head:
    """The head of an interpolated `body`: its own pooler, and strength times the small classifier padded with zeros.

    Both models have a pooler, so the merged body already contains the mixture; the large model has no classifier, so
    its part of the mixture is zero.
    """
    weight, bias = small_head.classifier_weight, small_head.classifier_bias
    width = body["pooler.dense.weight"].shape[0]
    padded = padded_to(weight, (weight.shape[0], width), "classifier.weight")
    own = {name: tensor.clone() for name, tensor in body.items() if is_pooler(name)}
    pooler, gain = own["pooler.dense.weight"], own.get(f"{POOLER_NORM}.weight")
    shift = own.get("pooler.dense.bias", pooler.new_zeros(width))
    classifier = strength * padded, strength * bias
    return Head(pooler, shift, *classifier, small_head.activation, gain, small_head.epsilon)


def padded_to(tensor: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    """Pad `tensor` with zeros at the end of each axis; raises ValueError with its name if it exceeds the shape."""
    if tensor.ndim != len(shape) or any(a > b for a, b in zip(tensor.shape, shape, strict=False)):
        raise ValueError(f"interpolate: {name} of shape {list(tensor.shape)} does not fit into {list(shape)}")
    result = torch.zeros(shape, dtype=tensor.dtype, device=tensor.device)
    result[tuple(slice(n) for n in tensor.shape)] = tensor
    return result


def _mix(small: Tensor, large: Tensor, strength: float) -> Tensor:
    mixed = strength * small.to(large.device).double() + (1 - strength) * large.double()
    return mixed.to(large.dtype)
