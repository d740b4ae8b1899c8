"""Translate a model's tensors between their names in memory, which are BERT's, and those of its family's files."""

import re
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from graft.encoders import tensor_names
from graft.encoders.architecture import POOLER_NORM, POSITIONS, body_shapes
from graft.registry.families.family import Family
from graft.registry.shapes import Shape

POOLER, CLASSIFIER = "pooler.dense", "classifier"
# Of a layer, in names in memory and in any family's files.
_NUMBER = re.compile(r"(?<=layer\.)\d+(?=\.)")
_STORED_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
# Makes one tensor of those of the modules that a family stores as one.
Join = Callable[[list[Tensor]], Tensor]


def body(stored: Mapping[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """Return an encoder's tensors, stored without a prefix, under their names in memory.

    Tensors of other names keep theirs, so that they can be named in errors.
    """
    family = shape.kind
    known = {_of_encoder(name, family): name for name in body_shapes(shape)}
    found = {known.get(name, name): tensor for name, tensor in _split(stored, family)}
    if family.unread and POSITIONS in found:
        found[POSITIONS] = found[POSITIONS][family.unread :]
    return found


def stored_body(body: Mapping[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """Return an encoder's tensors under the names, without prefix, by which its family stores them."""
    whole = _whole(body, shape.kind)
    return _joined({_of_encoder(name, shape.kind): tensor for name, tensor in whole.items()}, shape.kind, torch.cat)


def classifier(stored: Mapping[str, Tensor], shape: Shape) -> dict[str, Tensor]:
    """Return a classifier's tensors under their names in memory: `bert.` and `classifier.`.

    Tensors of other names keep theirs, so that they can be named in errors; buffers are left out.
    """
    family = shape.kind
    modern = {tensor_names.modern(name): tensor for name, tensor in stored.items() if not tensor_names.is_buffer(name)}
    known = {_of_classifier(name, family): name for name in (*body_shapes(shape), *_parts(CLASSIFIER))}
    found = {known.get(name, name): tensor for name, tensor in _split(modern, family)}
    if family.unread and POSITIONS in found:
        found[POSITIONS] = found[POSITIONS][family.unread :]
    known_here = set(known.values()) - set(_parts(CLASSIFIER))
    return {f"bert.{name}" if name in known_here else name: tensor for name, tensor in found.items()}


def stored_classifier(tensors: Mapping[str, Tensor], shape: Shape, join: Join = torch.cat) -> dict[str, Tensor]:
    """Return a classifier's tensors under the names by which its family stores them.

    `join`: what becomes of the tensors of modules that are stored as one.
    """
    plain = {name.removeprefix("bert."): tensor for name, tensor in tensors.items()}
    whole = _whole(plain, shape.kind)
    return _joined({_of_classifier(name, shape.kind): tensor for name, tensor in whole.items()}, shape.kind, join)


def identity_pooler(shape: Shape) -> dict[str, Tensor]:
    """Return what stands for a pooler where there is none.

    Heads read what the pooler returns: a function of the first token's state is sensible there, a random matrix is not.
    """
    bias = {f"{POOLER}.bias": torch.zeros(shape.width)} if shape.kind.biased else {}
    norm = {f"{POOLER_NORM}.weight": torch.ones(shape.width)} if shape.kind.head.norm else {}
    return {f"{POOLER}.weight": torch.eye(shape.width)} | bias | norm


def _split(stored: Mapping[str, Tensor], family: Family) -> Iterator[tuple[str, Tensor]]:
    """Yield tensors by stored name, but those of modules that are stored as one in parts, by their names in memory."""
    for name, tensor in stored.items():
        module, _, part = name.removeprefix(family.prefix).rpartition(".")
        number = _STORED_NUMBER.search(module)
        parts = family.fused.get(_STORED_NUMBER.sub("{}", module, count=1), ())
        if not parts or len(tensor) % len(parts):
            yield name, tensor
        for own, rows in zip(parts, tensor.chunk(len(parts)) if parts else (), strict=False):
            yield f"{own.format(number[0] if number else '')}.{part}", rows


def _joined(stored: dict[str, Tensor], family: Family, join: Join) -> dict[str, Tensor]:
    """Join the tensors of modules that a family stores as one, which still have their names in memory."""
    found: dict[str, list[Tensor]] = {}
    homes = {part: (module, n) for module, parts in family.fused.items() for n, part in enumerate(parts)}
    for name, tensor in stored.items():
        prefix = family.prefix if name.startswith(family.prefix) else ""
        module, _, part = name.removeprefix(prefix).rpartition(".")
        number = _NUMBER.search(module)
        if home := homes.get(_NUMBER.sub("{}", module)):
            name = f"{prefix}{home[0].format(number[0] if number else '')}.{part}"
        # Modules in memory are in the order of the parts.
        found.setdefault(name, []).append(tensor)
    return {name: tensors[0] if len(tensors) == 1 else join(tensors) for name, tensors in found.items()}


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
    if module == POOLER_NORM:
        return f"{family.head.norm}.{part}"
    number = _NUMBER.search(module)
    pattern = _NUMBER.sub("{}", module)
    return f"{family.modules.get(pattern, pattern).format(number[0] if number else '')}.{part}"


def _of_classifier(name: str, family: Family) -> str:
    module, _, part = name.rpartition(".")
    heads = {POOLER: family.head.dense, POOLER_NORM: family.head.norm, CLASSIFIER: family.head.out}
    if module in heads:
        return f"{heads[module]}.{part}"
    return family.prefix + _of_encoder(name, family)
