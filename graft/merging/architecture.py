"""The BERT encoder as data: the name and shape of every tensor, and of every linear layer the sites it joins.

A *site* is a place where activations can be watched. Sites of layer N are called `layer.N.<site>`; there is one more,
`embeddings`, the output of the embedding block.
"""

from collections.abc import Iterable, Mapping

from torch import Tensor

from graft.shapes import Shape

EMBEDDINGS = "embeddings"
WORD_EMBEDDINGS = "embeddings.word_embeddings.weight"

# Linear layers of a block: name -> (site of its input, site of its output). `intermediate.out` is before the
# non-linearity, `ffn` after it; `attention_output.out` and `output.out` are before the residual sum.
LINEARS = {
    "attention.self.query": ("attention.in", "query.out"),
    "attention.self.key": ("attention.in", "key.out"),
    "attention.self.value": ("attention.in", "value.out"),
    "attention.output.dense": ("context", "attention_output.out"),
    "intermediate.dense": ("intermediate.in", "intermediate.out"),
    "output.dense": ("ffn", "output.out"),
}


def layer_prefix(layer: int) -> str:
    """Start of the names of a layer's tensors and modules."""
    return f"encoder.layer.{layer}."


def body_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor of a body: embeddings, layers, pooler."""
    width, ffn = shape.width, shape.ffn
    shapes: dict[str, tuple[int, ...]] = {
        WORD_EMBEDDINGS: (shape.vocabulary, width),
        "embeddings.position_embeddings.weight": (shape.positions, width),
        "embeddings.token_type_embeddings.weight": (shape.types, width),
        "embeddings.LayerNorm.weight": (width,),
        "embeddings.LayerNorm.bias": (width,),
    }
    sizes = {"intermediate.dense": (ffn, width), "output.dense": (width, ffn)}
    for layer in range(shape.layers):
        for linear in LINEARS:
            size = sizes.get(linear, (width, width))
            shapes[f"{layer_prefix(layer)}{linear}.weight"] = size
            shapes[f"{layer_prefix(layer)}{linear}.bias"] = size[:1]
        for norm in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes[f"{layer_prefix(layer)}{norm}.weight"] = (width,)
            shapes[f"{layer_prefix(layer)}{norm}.bias"] = (width,)
    return shapes | {"pooler.dense.weight": (width, width), "pooler.dense.bias": (width,)}


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
        raise ValueError(f"{what}: tensor {unknown[0]} is not part of this BERT encoder; remove it")
