"""FLOPs and parameter counts of merging models of one shape, from the shape alone. Imports no torch.

Sums over models are counted as products of all their parameters with one weight per model.
"""

from graft.flops.counts import classifier_flops
from graft.registry import methods
from graft.registry.shapes import Shape


def matrices(shape: Shape, outputs: int | None) -> list[tuple[int, int]]:
    """Return rows and columns of all matrices of a classifier, or (`outputs` None) its encoder without the pooler."""
    tables = [(rows, shape.width) for rows in (shape.vocabulary, shape.position_rows, shape.types)]
    return tables + linear_layers(shape, outputs)


def linear_layers(shape: Shape, outputs: int | None) -> list[tuple[int, int]]:
    """Return the outputs and inputs of every linear layer of a classifier, or (`outputs` None) of its encoder."""
    square = (shape.width, shape.width)
    layer = [square] * 4 + (1 + shape.kind.gated) * [(shape.ffn, shape.width)] + [(shape.width, shape.ffn)]
    return shape.layers * layer + ([] if outputs is None else [square, (outputs, shape.width)])


def parameters(shape: Shape, outputs: int | None) -> int:
    """Number of parameters of a classifier, or (`outputs` None) of its encoder without the pooler."""
    kind = shape.kind
    pooler = shape.width * (shape.width + kind.biased) + bool(kind.head.norm) * (1 + kind.biased) * shape.width
    return shape.body_parameters + (-pooler if outputs is None else outputs * (shape.width + 1))


def merge_flops(method: str, shape: Shape, outputs: int | None, models: int) -> int:
    """FLOPs of merging `models` models once, by a method for one shape.

    Sums of all parameters, and what the method factorises. Operations on single parameters (weights, signs, ranks) are
    left out.
    """
    return 2 * models * parameters(shape, outputs) + methods.facts(method).factoring(shape, outputs, models)


def statistic_flops(statistic: str, shape: Shape, outputs: int, tokens: int) -> int:
    """FLOPs of `fisher` or `gram` for one example of `tokens` tokens.

    fisher: a forward pass, and a backward pass per output. gram: a forward pass, and the Gram matrices of all linear
    layers' inputs.
    """
    forward = classifier_flops(shape, tokens, outputs)
    if statistic == "fisher":
        return forward * (1 + 2 * outputs)
    inside = sum(2 * wide**2 for _, wide in linear_layers(shape, None))
    return forward + tokens * inside + 2 * 2 * shape.width**2


def statistic_size(statistic: str, shape: Shape, outputs: int) -> int:
    """Number of values in `fisher` or `gram` of one classifier."""
    if statistic == "fisher":
        return parameters(shape, outputs)
    return sum(wide**2 for _, wide in linear_layers(shape, outputs))
