"""Translate a model's tensors between their names in memory, which are BERT's, and those of its family's files."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from graft.encoders import tensor_names
from graft.encoders.architecture import POSITIONS, body_shapes
from graft.registry.families.family import Family
from graft.registry.shapes import Shape

POOLER, CLASSIFIER = "pooler.dense", "classifier"
_NUMBER = re.compile(r"(?<=layer\.)\d+(?=\.)")


def body(stored: Mapping[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """Return an encoder's tensors, stored without a prefix, under their names in memory.

    Tensors of other names keep theirs, so that they can be named in errors.
    """
    family = shape.kind
    known = {_of_encoder(name, family): name for name in body_shapes(shape)}
    found = {known.get(name, name): tensor for name, tensor in stored.items()}
    if family.unread and POSITIONS in found:
        found[POSITIONS] = found[POSITIONS][family.unread :]
    return found


def stored_body(body: Mapping[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """Return an encoder's tensors under the names, without prefix, by which its family stores them."""
    return {_of_encoder(name, shape.kind): tensor for name, tensor in _whole(body, shape.kind).items()}


def classifier(stored: Mapping[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """Return a classifier's tensors under their names in memory: `bert.` and `classifier.`.

    Tensors of other names keep theirs, so that they can be named in errors; buffers are left out.
    """
    family = shape.kind
    modern = {tensor_names.modern(name): tensor for name, tensor in stored.items() if not tensor_names.is_buffer(name)}
    known = {_of_classifier(name, family): name for name in (*body_shapes(shape), *_parts(CLASSIFIER))}
    found = {known.get(name, name): tensor for name, tensor in modern.items()}
    if family.unread and POSITIONS in found:
        found[POSITIONS] = found[POSITIONS][family.unread :]
    known_here = set(known.values()) - set(_parts(CLASSIFIER))
    return {f"bert.{name}" if name in known_here else name: tensor for name, tensor in found.items()}


def stored_classifier(tensors: Mapping[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """Return a classifier's tensors under the names by which its family stores them."""
    plain = {name.removeprefix("bert."): tensor for name, tensor in tensors.items()}
    return {_of_classifier(name, shape.kind): tensor for name, tensor in _whole(plain, shape.kind).items()}


def identity_pooler(width: int) -> dict[str, Tensor]:
    """Return what stands for a pooler where there is none.

    Heads read what the pooler returns: a function of the first token's state is sensible there, a random matrix is not.
    """
    return {f"{POOLER}.weight": torch.eye(width), f"{POOLER}.bias": torch.zeros(width)}


def _whole(tensors: Mapping[str, Tensor], family: Family) -> dict[str, Tensor]:
    """Put back the rows of the position table that no position reads; they are zero."""
    if not family.unread or POSITIONS not in tensors:
        return dict(tensors)
    table = tensors[POSITIONS]
    return {**tensors, POSITIONS: torch.cat([table.new_zeros(family.unread, table.shape[1]), table])}


def _parts(module: str) -> tuple[str, str]:
    return f"{module}.weight", f"{module}.bias"


def _of_encoder(name: str, family: Family) -> str:
    module, _, part = name.rpartition(".")
    if module == POOLER:
        return f"{family.head.pooler or family.head.dense}.{part}"
    number = _NUMBER.search(module)
    pattern = _NUMBER.sub("{}", module)
    return f"{family.modules.get(pattern, pattern).format(number[0] if number else '')}.{part}"


def _of_classifier(name: str, family: Family) -> str:
    module, _, part = name.rpartition(".")
    if module in (POOLER, CLASSIFIER):
        return f"{family.head.dense if module == POOLER else family.head.out}.{part}"
    return family.prefix + _of_encoder(name, family)
