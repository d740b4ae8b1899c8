"""An encoder as data: name and shape of every tensor, and the sites that every linear layer connects.

Names are those of BERT, which encoders of all families have in memory (`graft.encoders.network`).

A *site* is a place where activations can be observed: `embeddings`, the output of the embedding block, and eleven in
every layer. A *space* is a set of coordinates that several sites may share: the residual stream (every LayerNorm's
output), the queries and keys of a layer, its values, and its feed-forward units.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from graft.registry.shapes import Shape

EMBEDDINGS = "embeddings"
WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"
POSITIONS = "embeddings.position_embeddings.weight"
TYPES = "embeddings.token_type_embeddings.weight"
# Learned biases of attention's scores, by bucket of relative positions and head, in families that have them.
POSITION_BIASES = "encoder.relative_attention_bias.weight"
# Embeddings of relative positions and their LayerNorm, in families that have them.
RELATIVE, RELATIVE_NORM = "encoder.rel_embeddings.weight", "encoder.LayerNorm"

# What follows a classifier's first layer.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "gelu": torch.nn.functional.gelu,
    "relu": torch.relu,
}
# The output of the LayerNorm behind a block, and the input of a block's attention.
BLOCK_OUT, ATTENTION_IN = "block.out", "attention.in"
GATE = "intermediate.gate"
# Sites at which a space is observed, so that maps in both directions can be fitted there.
GRAM_SITES = ("attention.in", "query.out", "key.out", "value.out", "intermediate.in", "ffn", BLOCK_OUT)

RESIDUAL, QUERY_KEY, VALUE, FFN = "residual", "query_key", "value", "ffn"
# Linear layers of a block: name -> sites of its input and output, spaces of its input and output, and the site of the
# residual stream that it reads, or whose LayerNorm it writes to. `intermediate.out` is before the non-linearity, `ffn`
# after it; `attention_output.out` and `output.out` are before the residual sum.
_LINEARS = {
    "attention.self.query": ("attention.in", "query.out", RESIDUAL, QUERY_KEY, "attention.in"),
    "attention.self.key": ("attention.in", "key.out", RESIDUAL, QUERY_KEY, "attention.in"),
    "attention.self.value": ("attention.in", "value.out", RESIDUAL, VALUE, "attention.in"),
    "attention.output.dense": ("context", "attention_output.out", VALUE, RESIDUAL, "intermediate.in"),
    "intermediate.dense": ("intermediate.in", "intermediate.out", RESIDUAL, FFN, "intermediate.in"),
    "output.dense": ("ffn", "output.out", FFN, RESIDUAL, BLOCK_OUT),
}
LINEARS = {name: row[:2] for name, row in _LINEARS.items()}
# In families with gates, what feed-forward units are multiplied by: a map into their space, behind the non-linearity.
_GATED = {**_LINEARS, GATE: ("intermediate.in", "gate.out", RESIDUAL, FFN, "intermediate.in")}
LINEAR_SPACES = {name: row[2:4] for name, row in _GATED.items()}
STREAM = {name: row[4] for name, row in _GATED.items()}
# LayerNorms of a block that normalises sums: name -> site of its output.
NORMS = {"attention.output.LayerNorm": "intermediate.in", "output.LayerNorm": BLOCK_OUT}
EMBEDDING_NORM, POOLER_NORM = "embeddings.LayerNorm", "pooler.LayerNorm"
EMBEDDING_TABLES = (WORD_EMBEDDINGS, POSITIONS, TYPES)


def layer_prefix(layer: int) -> str:
    """Return the prefix of the names of a layer's tensors and modules."""
    return f"encoder.layer.{layer}."


def linears(*shapes: Shape) -> dict[str, tuple[str, str]]:
    """Return the linear layers of a block that models of all these shapes have, with their sites."""
    gated = {GATE: _GATED[GATE][:2]} if all(shape.kind.gated for shape in shapes) else {}
    return LINEARS | gated


def norms(shape: Shape, layer: int) -> dict[str, str]:
    """Return the LayerNorms of a layer with the sites of their outputs.

    Where a block reads normalised copies of its states, one is before attention, except in the first layer, which reads
    normalised embeddings, and the last layer has another, at its end.
    """
    if not shape.kind.prenorm:
        return NORMS
    first = {"attention.LayerNorm": ATTENTION_IN} if layer > 0 else {}
    last = {"output.LayerNorm": BLOCK_OUT} if layer == shape.layers - 1 else {}
    return first | {"attention.output.LayerNorm": "intermediate.in"} | last


def norm_at(shape: Shape, layer: int, site: str) -> str:
    """Return the name of the LayerNorm whose output is a layer's site, which may belong to the layer before or after.

    Sites of different families correspond: block.out is what the next block reads, wherever it is normalised.
    """
    if site == ATTENTION_IN and layer == 0:
        return EMBEDDING_NORM
    if site == ATTENTION_IN and not shape.kind.prenorm:
        layer, site = layer - 1, BLOCK_OUT
    if site == BLOCK_OUT and shape.kind.prenorm and layer < shape.layers - 1:
        layer, site = layer + 1, ATTENTION_IN
    return layer_prefix(layer) + next(norm for norm, made in norms(shape, layer).items() if made == site)


def site_name(small_layer: int, large_layer: int, site: str) -> str:
    """Return the name of a pair of sites in a calibration's statistics."""
    return f"layer.{small_layer}-{large_layer}.{site}"


def body_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor of a body: embeddings, layers, pooler."""
    width, ffn, family = shape.width, shape.ffn, shape.kind
    parts = ("weight", "bias") if family.biased else ("weight",)
    tables = {WORD_EMBEDDINGS: shape.vocabulary, POSITIONS: shape.position_rows, TYPES: shape.types}
    shapes: dict[str, tuple[int, ...]] = {name: (rows, width) for name, rows in tables.items() if rows}
    normed = [EMBEDDING_NORM]
    sizes = {"intermediate.dense": (ffn, width), GATE: (ffn, width), "output.dense": (width, ffn)}
    for layer in range(shape.layers):
        for linear in linears(shape):
            size = sizes.get(linear, (width, width))
            module = layer_prefix(layer) + linear
            shapes |= {f"{module}.{part}": size if part == "weight" else size[:1] for part in parts}
        normed += [layer_prefix(layer) + norm for norm in norms(shape, layer)]
    if family.buckets:
        shapes[POSITION_BIASES] = (family.buckets, shape.heads)
    if family.disentangled:
        shapes[RELATIVE] = (shape.relative_rows, width)
        normed.append(RELATIVE_NORM)
    shapes |= {f"pooler.dense.{part}": (width, width) if part == "weight" else (width,) for part in parts}
    if family.head.norm:
        normed.append(POOLER_NORM)
    return shapes | {f"{norm}.{part}": (width,) for norm in normed for part in parts}


def stacked(
    body: Mapping[str, Tensor], layers: Sequence[int], midpoints: bool = False, prenorm: bool = False
) -> dict[str, Tensor]:
    """Return a body whose layer n is layer `layers[n]` of the given one; embeddings and pooler are kept.

    Growing in depth by repeating layers follows bert2BERT (Chen et al. 2021, arXiv 2110.07143). `midpoints`: instead of
    being repeated, a layer is followed by means of itself and the next one, if there is one. `prenorm`: whether the
    last LayerNorm is the model's, not the last layer's, and the embeddings' one serves as the first layer's, whose
    copies get it.
    """
    end = f"{layer_prefix(max(layers))}output.LayerNorm.weight"
    if prenorm:
        first = {f"{layer_prefix(0)}attention.LayerNorm.weight": body[f"{EMBEDDING_NORM}.weight"]}
        body, last = {name: tensor for name, tensor in {**body, **first}.items() if name != end}, body[end]
    kept = {name: tensor for name, tensor in body.items() if not name.startswith("encoder.layer.")}
    for n, layer in enumerate(layers):
        upper = min(layer + 1, max(layers)) if midpoints and layer in layers[:n] else layer
        prefix, above = layer_prefix(layer), layer_prefix(upper)
        for name in [name for name in body if name.startswith(prefix)]:
            rest = name.removeprefix(prefix)
            kept[layer_prefix(n) + rest] = body[name] if upper == layer else (body[name] + body[above + rest]) / 2
    if prenorm:
        del kept[f"{layer_prefix(0)}attention.LayerNorm.weight"]
        kept[f"{layer_prefix(len(layers) - 1)}output.LayerNorm.weight"] = last
    return kept


def check_body(body: Mapping[str, Tensor], shape: Shape, what: str) -> None:
    """Raise ValueError, naming the tensor, unless `body` has exactly the tensors of `shape`."""
    check_tensors(body, body_shapes(shape), what)


def check_tensors(tensors: Mapping[str, Tensor], expected: Mapping[str, Iterable[int]], what: str) -> None:
    """Raise ValueError, naming the tensor, unless `tensors` has exactly the names and shapes of `expected`."""
    for name, size in expected.items():
        if name not in tensors:
            raise ValueError(f"{what}: tensor {name} is missing; it should have shape {list(size)}")
        if tuple(tensors[name].shape) != tuple(size):
            raise ValueError(f"{what}: tensor {name} has shape {list(tensors[name].shape)}, not {list(size)}")
    if unknown := sorted(set(tensors) - set(expected)):
        raise ValueError(f"{what}: tensor {unknown[0]} is not part of this encoder; remove it")


def is_finite(tensor: Tensor) -> bool:
    """Whether all values are finite: then both extremes are, and a NaN would be both. Ten times as fast as isfinite."""
    return all(map(math.isfinite, torch.stack(torch.aminmax(tensor)).tolist()))
