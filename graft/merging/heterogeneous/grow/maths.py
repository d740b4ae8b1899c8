"""Grow: the fine-tuned small model widened and deepened to the large one's shape, and averaged with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from graft.encoders.architecture import (
    EMBEDDING_NORM,
    GATE,
    NORMS,
    POSITION_BIASES,
    RELATIVE,
    RELATIVE_NORM,
    layer_prefix,
    linears,
)
from graft.encoders.models import encoder_of
from graft.encoders.spans import read_by, span_states
from graft.io.progress import along
from graft.merging.protocol import Deltas, Method, Parts, check_parts, moved_rows, norm_pairs, shared_tables
from graft.registry.shapes import Shape


class Grow(Method):
    """(1 - a) large + a grown, `strength` a in [0, 1]; at a = 1 the large shape computes what the small model did.

    Hidden units are copied as often as they fit and the rest padded with the units' mean, weights that read copies
    divided among them; small heads become the first units of large ones, with queries scaled by sqrt(d_L / d_S);
    feed-forward units in the first of the large ones; large layers outside the depth map do nothing. A post-LN block
    cannot do quite nothing, nor keep padded units at the mean, so the result is exact only for widths that are
    multiples and equal depths; otherwise `diagnostics` hold the last states' relative error on the texts. The grown
    model knows nothing of the large one's coordinates: half way both functions are lost. Use it as the other floor, and
    at a = 1 as what a large shape alone adds. Source: Net2Net (Chen et al. 2015, arXiv 1511.05641); bert2BERT (Chen et
    al. 2021, arXiv 2110.07143); padding by the mean and LayerNorms rescaled as in LEMON (Wang et al. 2023, arXiv
    2310.07999).
    """

    def prepare(self, parts: Parts, maps: None = None) -> Deltas:
        """Compute grown - large for every tensor but the pooler, float64, and the error of growing."""
        check_parts(parts)
        check_kinds(parts.small_shape, parts.large_shape)
        with parts.device:  # where tensors are made that are no copies
            return self._prepared(parts)

    def _prepared(self, parts: Parts) -> Deltas:
        placement = Placement.of(parts.small_shape, parts.large_shape)
        small = {name: tensor.double() for name, tensor in parts.small_finetuned.items()}
        parts.report(0, 0, "growing the small model")
        grown = dict(_grown(small, placement, parts))
        large = {name: tensor.double() for name, tensor in parts.large.items()}
        diagnostics = {}
        if parts.texts:
            diagnostics["growing"] = _error(small, large | grown, placement, parts)
        return Deltas(parts.large, {name: tensor - large[name] for name, tensor in grown.items()}, diagnostics)


def check_kinds(small: Shape, large: Shape) -> None:
    """Raise ValueError if a block of the large model cannot compute what one of the small model does."""
    for what, name in ALIKE.items():
        if getattr(small.kind, what) != getattr(large.kind, what):
            which = small if getattr(small.kind, what) else large
            raise ValueError(f"grow: of the two models only the {which.family} has {name}; both or neither must have")


# Facts of a family that make a block what it is, in words.
ALIKE = {
    "prenorm": "LayerNorms before attention and feed-forward",
    "gated": "a gated feed-forward",
    "rotary": "rotary positions",
    "disentangled": "embeddings of relative positions",
}


@dataclass(frozen=True)
class Placement:
    """The placement of small units in the large model.

    `stream` [w_S, w_L] copies units of the residual stream and pads with their mean; `readers` [w_L, w_S] divides
    weights among the copies that they read; `copies`: which large units are copies; `gain`: factor of LayerNorm gains;
    `heads`, `ffn`: 0-1 matrices [small, large] for the inner spaces; `query`: factor of queries.
    """

    stream: Tensor
    readers: Tensor
    copies: Tensor
    gain: float
    heads: Tensor
    ffn: Tensor
    query: float

    @classmethod
    def of(cls, small: Shape, large: Shape) -> Placement:
        """Place a small shape in a large one; raises ValueError if the small heads do not fit into the large ones."""
        size, room = small.width // small.heads, large.width // large.heads
        if small.heads > large.heads or size > room:
            raise ValueError(
                f"grow: {small.heads} heads of {size} units do not fit into {large.heads} heads of {room}; the large "
                "model needs as many heads, at least as wide"
            )
        times = large.width // small.width
        copied = times * small.width
        one = torch.eye(small.width, dtype=torch.float64)
        mean = torch.full((small.width, large.width - copied), 1 / small.width, dtype=torch.float64)
        readers = torch.cat([one.repeat(times, 1) / times, torch.zeros(large.width - copied, small.width).double()])
        heads = torch.zeros(small.width, large.width, dtype=torch.float64)
        for head in range(small.heads):
            units = torch.arange(size)
            heads[head * size + units, head * room + units] = 1
        return cls(
            stream=torch.cat([one.repeat(1, times), mean], dim=1),
            readers=readers,
            copies=torch.arange(large.width) < copied,
            gain=math.sqrt(copied / large.width),
            heads=heads,
            ffn=torch.eye(small.ffn, large.ffn, dtype=torch.float64),
            query=math.sqrt(room / size),
        )


def _grown(small: Mapping[str, Tensor], placement: Placement, parts: Parts) -> Iterator[tuple[str, Tensor]]:
    for name in shared_tables(parts):
        yield name, moved_rows(parts, name, small[name], placement.stream)
    if POSITION_BIASES in parts.large:
        # Small heads are the first large ones; the others have no values to add.
        biases = parts.large[POSITION_BIASES].double().clone()
        biases[:, : parts.small_shape.heads] = small.get(POSITION_BIASES, biases.new_zeros(()))
        yield POSITION_BIASES, biases
    if RELATIVE in parts.large:
        if len(small[RELATIVE]) == len(parts.large[RELATIVE]):
            yield RELATIVE, small[RELATIVE] @ placement.stream
            yield from _norm(small, RELATIVE_NORM, RELATIVE_NORM, placement)
    yield from _norm(small, EMBEDDING_NORM, EMBEDDING_NORM, placement)
    source = {g: m for m, g in parts.depth_map}
    before = EMBEDDING_NORM
    for g in range(parts.large_shape.layers):
        if g in source:
            m = source[g]
            for linear in linears(parts.large_shape):
                yield from _linear(small, layer_prefix(m) + linear, layer_prefix(g) + linear, linear, placement)
            for own, norm, _ in norm_pairs(parts, m, g):
                yield from _norm(small, own, norm, placement)
            before = f"{layer_prefix(m)}output.LayerNorm"
        elif parts.large_shape.kind.prenorm:
            yield from _silent(parts.large, layer_prefix(g))
        else:
            yield from _empty(
                parts.large, layer_prefix(g), small[f"{before}.weight"] * placement.gain, small[f"{before}.bias"]
            )


def _linear(
    small: Mapping[str, Tensor], source: str, target: str, linear: str, placement: Placement
) -> Iterator[tuple[str, Tensor]]:
    weight, bias = small[f"{source}.weight"], small.get(f"{source}.bias")
    out, into = {
        "attention.output.dense": (placement.stream, placement.heads.T),
        "intermediate.dense": (placement.ffn, placement.readers),
        GATE: (placement.ffn, placement.readers),
        "output.dense": (placement.stream, placement.ffn.T),
    }.get(linear, (placement.heads, placement.readers))
    factor = placement.query if linear.endswith("query") else 1.0
    yield f"{target}.weight", factor * out.T @ weight @ into.T
    if bias is not None:
        yield f"{target}.bias", factor * bias @ out


def _norm(small: Mapping[str, Tensor], source: str, target: str, placement: Placement) -> Iterator[tuple[str, Tensor]]:
    # A padded unit is at the mean, so its normalised value is 0 and its gain has no effect.
    yield f"{target}.weight", placement.gain * (small[f"{source}.weight"] @ placement.stream) * placement.copies
    if f"{source}.bias" in small:
        yield f"{target}.bias", small[f"{source}.bias"] @ placement.stream


def _silent(large: Mapping[str, Tensor], prefix: str) -> Iterator[tuple[str, Tensor]]:
    """Tensors with which attention and feed-forward of a block add nothing to its states."""
    for linear in ("attention.output.dense", "output.dense"):
        for name in (f"{prefix}{linear}.{kind}" for kind in ("weight", "bias")):
            if name in large:
                yield name, torch.zeros_like(large[name], dtype=torch.float64)


def _empty(large: Mapping[str, Tensor], prefix: str, gain: Tensor, bias: Tensor) -> Iterator[tuple[str, Tensor]]:
    """A block that adds nothing to its input, and whose LayerNorms restore the input's usual mean and spread."""
    mean = bias.mean()
    spread = (gain.square().mean() + (bias - mean).square().mean()).sqrt()
    yield from _silent(large, prefix)
    for norm in NORMS:
        width = large[f"{prefix}{norm}.weight"].shape
        yield f"{prefix}{norm}.weight", torch.full(width, float(spread), dtype=torch.float64)
        yield f"{prefix}{norm}.bias", torch.full(width, float(mean), dtype=torch.float64)


@torch.no_grad()
def _error(small: Mapping[str, Tensor], grown: Mapping[str, Tensor], placement: Placement, parts: Parts) -> float:
    """Relative error of the grown model's last hidden states on the texts, compared with the copied small ones."""
    models = encoder_of(small, parts.small_shape), encoder_of(grown, parts.large_shape)
    off = size = 0.0
    for batch in along(parts.texts, parts.report, "batches read by the grown model"):
        wanted, found = (
            span_states(role, model(**read_by(role, batch)).last_hidden_state, batch)
            for role, model in zip(("small", "large"), models, strict=True)
        )
        wanted = wanted @ placement.stream
        off += float((found - wanted).square().sum())
        size += float(wanted.square().sum())
    return math.sqrt(off / size)
