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

# What follows a classifier's first layer.
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "gelu": torch.nn.functional.gelu,
    "relu": torch.relu,
}
# The output of a block's last LayerNorm.
BLOCK_OUT = "block.out"
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
LINEAR_SPACES = {name: row[2:4] for name, row in _LINEARS.items()}
STREAM = {name: row[4] for name, row in _LINEARS.items()}
# LayerNorms of a block: name -> site of its output.
NORMS = {"attention.output.LayerNorm": "intermediate.in", "output.LayerNorm": BLOCK_OUT}
EMBEDDING_NORM = "embeddings.LayerNorm"
EMBEDDING_TABLES = (WORD_EMBEDDINGS, POSITIONS, TYPES)


def layer_prefix(layer: int) -> str:
    """Return the prefix of the names of a layer's tensors and modules."""
    return f"encoder.layer.{layer}."


def site_name(small_layer: int, large_layer: int, site: str) -> str:
    """Return the name of a pair of sites in a calibration's statistics."""
    return f"layer.{small_layer}-{large_layer}.{site}"


def body_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every tensor of a body: embeddings, layers, pooler."""
    width, ffn = shape.width, shape.ffn
    shapes: dict[str, tuple[int, ...]] = {
        WORD_EMBEDDINGS: (shape.vocabulary, width),
        POSITIONS: (shape.positions, width),
        **({TYPES: (shape.types, width)} if shape.types else {}),
        f"{EMBEDDING_NORM}.weight": (width,),
        f"{EMBEDDING_NORM}.bias": (width,),
    }
    sizes = {"intermediate.dense": (ffn, width), "output.dense": (width, ffn)}
    for layer in range(shape.layers):
        for linear in LINEARS:
            size = sizes.get(linear, (width, width))
            shapes[f"{layer_prefix(layer)}{linear}.weight"] = size
            shapes[f"{layer_prefix(layer)}{linear}.bias"] = size[:1]
        for norm in NORMS:
            shapes[f"{layer_prefix(layer)}{norm}.weight"] = (width,)
            shapes[f"{layer_prefix(layer)}{norm}.bias"] = (width,)
    if shape.kind.buckets:
        shapes[POSITION_BIASES] = (shape.kind.buckets, shape.heads)
    return shapes | {"pooler.dense.weight": (width, width), "pooler.dense.bias": (width,)}


def stacked(body: Mapping[str, Tensor], layers: Sequence[int], midpoints: bool = False) -> dict[str, Tensor]:
    """Return a body whose layer n is layer `layers[n]` of the given one; embeddings and pooler are kept.

    Growing in depth by repeating layers follows bert2BERT (Chen et al. 2021, arXiv 2110.07143). `midpoints`: instead of
    being repeated, a layer is followed by means of itself and the next one, if there is one.
    """
    kept = {name: tensor for name, tensor in body.items() if not name.startswith("encoder.layer.")}
    for n, layer in enumerate(layers):
        upper = min(layer + 1, max(layers)) if midpoints and layer in layers[:n] else layer
        prefix, above = layer_prefix(layer), layer_prefix(upper)
        for name in [name for name in body if name.startswith(prefix)]:
            rest = name.removeprefix(prefix)
            kept[layer_prefix(n) + rest] = body[name] if upper == layer else (body[name] + body[above + rest]) / 2
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
