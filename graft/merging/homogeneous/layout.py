"""Lay out a merged model: which tensors it has, their names and dtypes, how each is made, and which are tied."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from graft.encoders import tensor_names
from graft.encoders.tensor_names import Names
from graft.merging.homogeneous.checkpoint import Checkpoint, TensorInfo
from graft.merging.homogeneous.formats import STORED, widest
from graft.merging.homogeneous.models import BLOCK
from graft.merging.homogeneous.shards import Slot

# Input and output ends of tied word embeddings, by the suffix of their canonical names.
_INPUT = re.compile(r"(^|\.)((word|tok)_embeddings|embed_tokens|embed_in|wte|shared|word_embedding)\.weight$")
_OUTPUT = re.compile(
    r"(^|\.)(decoder|lm_head|generator_lm_head|vocab_projector|embed_out|lm_loss|embed_tokens)\.weight$"
)
# Leading bytes compared first to find equal tensors.
_FIRST = 1 << 12


@dataclass(frozen=True)
class Layout:
    """The tensors of a merged model.

    base, tuned: the checkpoints under the merged model's names, with only the tensors that are merged. slots: the
    tensors to write. ties: for a merged tensor, its copies, which are written with the same values. averaged: tensors
    that the base lacks; left_out: stored names of tensors that the merged model does not have; same_head: whether the
    base has the models' head; head: if it is one model's alone, that model with only its head.
    """

    base: Checkpoint | None
    tuned: tuple[Checkpoint, ...]
    slots: tuple[Slot, ...]
    ties: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    averaged: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    same_head: bool = False
    head: Checkpoint | None = None


def of(
    base: Checkpoint | None,
    tuned: Sequence[Checkpoint],
    model_type: str,
    tied: bool,
    dtype: str | None,
    head_of: Checkpoint | None = None,
    no_head: bool = False,
) -> Layout:
    """Lay out the merge of models, each of which may have been saved by a different class.

    model_type: the configs' family; tied: whether the configs tie word embeddings, so that a copy may be missing;
    dtype: of all floating-point tensors written, or None for the narrowest that loses nothing; head_of: the model whose
    head and pooler are taken as they are, those of others being left out; no_head: leave out all heads. Raises
    ValueError if only some models have a tensor or a tie, if shapes or integer values differ, or if `head_of` has none.
    """
    parts = [*([base] if base else []), *tuned]
    named = {part: _names(part, model_type) for part in parts}
    head, headless = _head(head_of, named[head_of], tied) if head_of else {}, []
    if head_of or no_head:
        all_heads = {plain: name for part in parts for plain, name in named[part].heads.items()}
        headless = [name for plain, name in all_heads.items() if name not in head.values()]
        named = {part: names.without_head(pooler=head_of is None) for part, names in named.items()}
    kept, averaged, dropped = _chosen(base, tuned, named, tied)
    # In the file order of each part.
    stored = {part: _in_order(part, named[part], kept) for part in parts}
    _check_alike(parts, stored, named[tuned[0]].heads)
    groups = _ties(parts, stored, named[tuned[0]])
    called = {plain: _called([stored[model][plain] for model in tuned], plain) for plain in kept}
    leaders = {name: first for first, *others in groups for name in others}
    views = {
        part: part.under({called[plain]: name for plain, name in own.items() if plain not in leaders})
        for part, own in stored.items()
    }
    found = {plain: [part.tensors[own[plain]] for part, own in stored.items() if plain in own] for plain in kept}
    found |= {plain: found[first] for plain, first in leaders.items()}
    found_head = {name: [head_of.tensors[name]] for name in head.values()} if head_of else {}
    written = {called[plain]: infos for plain, infos in found.items()} | found_head
    slots = [Slot(name, _dtype(infos, dtype), infos[0].shape) for name, infos in written.items()]
    return Layout(
        base=views[base] if base else None,
        tuned=tuple(views[model] for model in tuned),
        # The widest dtypes first, so that every tensor is aligned. The order depends on names and dtypes alone.
        slots=tuple(sorted(slots, key=lambda slot: (-slot.item, slot.name))),
        ties={called[first]: tuple(called[name] for name in others) for first, *others in groups},
        averaged=tuple(sorted(called[plain] for plain in averaged if leaders.get(plain, plain) in averaged)),
        left_out=tuple(sorted({*dropped, *headless})),
        head=head_of.under({name: name for name in head.values()}) if head_of else None,
        same_head=base is not None and set(named[base].heads) == set(named[tuned[0]].heads) & kept != set(),
    )


def statistics_under(statistics: Checkpoint, layout: Layout, model_type: str) -> Checkpoint:
    """View a model's statistics under the merged model's names, without tensors that are averaged, tied or not merged.

    Statistics that do not belong to any tensor keep their names.
    """
    merged = {tensor_names.canonical(slot.name, model_type): slot.name for slot in layout.slots}
    idle = {*layout.averaged, *(name for others in layout.ties.values() for name in others)}
    apart = *layout.left_out, *(layout.head.tensors if layout.head else ())
    gone = {tensor_names.canonical(name, model_type) for name in apart}
    wanted = {}
    for name in statistics.tensors:
        called = merged.get(tensor_names.canonical(name, model_type), name)
        if called not in idle and tensor_names.canonical(name, model_type) not in gone:
            wanted[called] = name
    return statistics.under(wanted)


def _names(part: Checkpoint, model_type: str) -> Names:
    try:
        return tensor_names.of(part.tensors, model_type)
    except ValueError as error:
        raise ValueError(f"{part.name}: {error}") from None


def _head(model: Checkpoint, named: Names, tied: bool) -> dict[str, str]:
    """Stored names of a model's head and pooler by canonical name, without copies of tied word embeddings."""
    if not named.heads:
        raise ValueError(f"--head-of: {model.name} has no head; name a model that has one")
    poolers = {plain: name for plain, name in named.body.items() if tensor_names.is_pooler(plain)}
    found = {**poolers, **named.heads}
    return {plain: name for plain, name in found.items() if not (tied and _copied(model, named.stored, plain))}


def _chosen(
    base: Checkpoint | None, tuned: Sequence[Checkpoint], named: Mapping[Checkpoint, Names], tied: bool
) -> tuple[set[str], list[str], list[str]]:
    """Canonical names of tensors to keep and of those the base lacks; stored names of tensors left out."""
    kept, lost = set(), set()
    before = named[base].stored if base else {}
    for plain in dict.fromkeys(plain for model in tuned for plain in named[model].stored):
        have = [model for model in tuned if plain in named[model].stored]
        name = named[have[0]].stored[plain]
        if tensor_names.is_buffer(plain) and (len(have) < len(tuned) or have[0].tensors[name].floating):
            lost.add(name)
        elif len(have) == len(tuned):
            kept.add(plain)
        elif tied and all(_copied(model, named[model].stored, plain) for model in have):
            lost.add(name)
        elif base and plain in named[have[0]].body and plain not in before:
            raise ValueError(f"{have[0].name}: {name} is in it, but not in {base.name}")
        else:
            lacks = next(model for model in tuned if model not in have)
            holder = base if base and plain in before else have[0]
            raise ValueError(f"{lacks.name}: {name} is missing, which {holder.name} has")
    for plain, name in before.items():
        if base and plain not in kept:
            lost.add(name)
            copied = tied and _copied(base, before, plain)
            if plain in named[base].body and not tensor_names.is_pooler(plain) and not copied:
                raise ValueError(f"{tuned[0].name}: {name} is missing, which {base.name} has")
    averaged = [plain for plain in kept if base and plain not in before and not tensor_names.is_buffer(plain)]
    for plain in averaged:
        if base and plain in named[tuned[0]].body and not tensor_names.is_pooler(plain):
            name = named[tuned[0]].stored[plain]
            raise ValueError(f"{tuned[0].name}: {name} is in it, but not in {base.name}")
    return kept, averaged, sorted(lost)


def _in_order(part: Checkpoint, named: Names, kept: Collection[str]) -> dict[str, str]:
    """Stored names by canonical name, in the order of the part's files."""
    plain = {name: plain for plain, name in named.stored.items() if plain in kept}
    return {plain[name]: name for name in part.tensors if name in plain}


def _copied(model: Checkpoint, stored: Mapping[str, str], plain: str) -> bool:
    """Whether a tensor is one end of a known tie and equals the other end."""
    ends = (pair for pair in _known(stored) if plain in pair)
    return any(_same(model, stored[first], stored[second]) for first, second in ends)


def _check_alike(
    parts: Sequence[Checkpoint], stored: Mapping[Checkpoint, Mapping[str, str]], heads: Collection[str]
) -> None:
    """Raise ValueError unless each tensor has one shape and kind in all parts, and integers have equal values."""
    for part in parts[1:]:
        for plain, name in stored[part].items():
            other = next(one for one in parts if plain in stored[one])
            if other is part:
                continue
            ours, theirs = part.tensors[name], other.tensors[stored[other][plain]]
            if ours.shape != theirs.shape:
                sizes = f"{name} is {list(ours.shape)}, in {other.name} {list(theirs.shape)}"
                otherwise = ", or keep one model's head (--head-of) or none (--no-head)" if plain in heads else ""
                raise ValueError(f"{part.name}: {sizes}; must be one shape{otherwise}")
            if ours.floating != theirs.floating:
                raise ValueError(f"{part.name}: {name} is {ours.dtype}, in {other.name} {theirs.dtype}")
            # Compare values: the same integers may be stored in different widths.
            if not ours.floating and not np.array_equal(part.stored(name), other.stored(theirs.name)):
                raise ValueError(f"{part.name}: {name} is not as in {other.name}; integers cannot be merged")


def _dtype(holders: Sequence[TensorInfo], dtype: str | None) -> str:
    """The stored dtype of a tensor: the requested one, or one that holds every part's values without loss."""
    found = {info.dtype for info in holders}
    if not holders[0].floating:
        return max(found, key=lambda name: (STORED[name].itemsize, name))
    return dtype or widest(found)


def _called(stored: Sequence[str], plain: str) -> str:
    """A tensor's name in the merged model.

    If the models use several names, it is the longest one (which has the prefix used under a head), modernised.
    """
    return stored[0] if len(set(stored)) == 1 else max(map(tensor_names.modern, stored), key=len)


def _ties(parts: Sequence[Checkpoint], stored: Mapping[Checkpoint, Mapping[str, str]], named: Names) -> list[list[str]]:
    """Groups of canonical names of tensors that are tied in all parts: the one to merge, then its copies.

    Known ties are those of word embeddings and biases, on which all parts must agree; raises ValueError if they do
    not. Other ties are found by comparing bytes, except for tensors that start with one constant (zeros, ones).
    """

    def place(plain: str) -> tuple[int, bool, str]:
        # Prefer a tensor that every part has, so that it has a change, then one of the encoder.
        return -sum(plain in stored[part] for part in parts), plain in named.heads, plain

    known = _known({plain for part in parts for plain in stored[part]})
    groups: list[set[str]] = []
    for first, second in sorted({*known, *(pair for part in parts for pair in _alike(part, stored[part]))}):
        holders = [part for part in parts if first in stored[part] and second in stored[part]]
        same = [_same(part, stored[part][first], stored[part][second]) for part in holders]
        if all(same):
            joined = [group for group in groups if group & {first, second}]
            groups = [group for group in groups if group not in joined] + [{first, second}.union(*joined)]
        elif any(same) and (first, second) in known:
            apart, one = holders[same.index(False)], holders[same.index(True)]
            ours, copy = (stored[apart][plain] for plain in sorted((first, second), key=place))
            raise ValueError(
                f"{apart.name}: {copy} is not {ours}, in {one.name} both are one tensor; must be tied in all or in none"
            )

    return [sorted(group, key=place) for group in groups]


def _known(plain: Collection[str]) -> list[tuple[str, str]]:
    """Pairs of canonical names that models tie by design: input and output embeddings, and the decoder's biases."""
    inputs = min((name for name in plain if _INPUT.search(name)), default=None)
    pairs = [(inputs, name) for name in plain if inputs and name != inputs and _OUTPUT.search(name)]
    biases = [(name.removesuffix("decoder.bias") + "bias", name) for name in plain if name.endswith(".decoder.bias")]
    return [(min(pair), max(pair)) for pair in (*pairs, *biases) if pair[0] in plain]


def _alike(part: Checkpoint, stored: Mapping[str, str]) -> list[tuple[str, str]]:
    """Pairs of a part's tensors that may be tied, judging by their first bytes."""
    found: dict[tuple[str, tuple[int, ...], bytes], str] = {}
    pairs = []
    for plain, name in sorted(stored.items()):
        info = part.tensors[name]
        if not info.floating or info.count == 0:
            continue
        values = part.stored(name, 0, min(info.count, _FIRST // STORED[info.dtype].itemsize))
        if (values == values[0]).all():
            continue
        first = found.setdefault((info.dtype, info.shape, values.tobytes()), plain)
        if first != plain:
            pairs.append((first, plain))
    return pairs


def _same(part: Checkpoint, one: str, other: str) -> bool:
    """Whether two tensors of a part have equal dtype, shape and bytes."""
    ours, theirs = part.tensors[one], part.tensors[other]
    if (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
        return False
    places = ((start, min(start + BLOCK, ours.count)) for start in range(0, ours.count, BLOCK))
    return all(part.stored(one, *place).tobytes() == part.stored(other, *place).tobytes() for place in places)
