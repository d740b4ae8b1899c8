"""Floating-point operations counted from shapes: 2 per multiply-add, matrix products only. Imports no torch.

LayerNorm, soft-max, GELU, look-ups and pooling over tokens are left out, as `torch.utils.flop_counter` leaves them out.
"""

from collections.abc import Mapping
from typing import Any

from graft.shapes import Shape

BACKWARD_AND_FORWARD = 3  # a backward pass has two products for each product of the forward pass
EIGENDECOMPOSITION = 9  # f^3 operations of a symmetric f x f matrix with vectors (Golub & Van Loan, 4th ed., 8.3)


def encoder_flops(shape: Shape, tokens: int, layers: int | None = None) -> int:
    """Forward FLOPs of the encoder layers for one example padded to `tokens`; `layers` counts only so many of them."""
    layers = shape.layers if layers is None else layers
    products_with_weights = 2 * tokens * (4 * shape.width**2 + 2 * shape.width * shape.ffn)
    scores_and_contexts = 4 * tokens**2 * shape.width
    return layers * (products_with_weights + scores_and_contexts)


def pooler_flops(shape: Shape) -> int:
    """Forward FLOPs of the pooler for one example (it reads the first token only)."""
    return 2 * shape.width**2


def linear_flops(inputs: int, outputs: int) -> int:
    """Forward FLOPs of one linear layer for one vector."""
    return 2 * inputs * outputs


def classifier_flops(shape: Shape, tokens: int, outputs: int) -> int:
    """Forward FLOPs of a BERT classifier (encoder, pooler, linear) for one example padded to `tokens`."""
    return encoder_flops(shape, tokens) + pooler_flops(shape) + linear_flops(shape.width, outputs)


def training_flops(forward: int) -> int:
    """FLOPs of a training step whose forward pass takes `forward`, without recomputation."""
    return BACKWARD_AND_FORWARD * forward


def ridge_flops(rows: int, features: int, outputs: int, sizes: int = 1) -> int:
    """FLOPs of one closed-form ridge fit: Gram, cross products, one eigendecomposition, one solution per ridge size.

    The eigendecomposition is counted as 9 f^3 (see EIGENDECOMPOSITION), and each of the two products with the
    eigenvectors as 2 f^2 c.
    """
    gram_and_cross = 2 * rows * features * (features + outputs)
    return gram_and_cross + EIGENDECOMPOSITION * features**3 + 2 * features**2 * outputs * (1 + sizes)


def calibration_flops(small: Shape, large: Shape, pairs: int, examples: int, tokens: int) -> int:
    """FLOPs of `graft.merging.calibration.calibrate` on `examples` examples padded to `tokens`.

    Two forward passes without the pooler, and for every one of `pairs` mapped pairs of layers the cross-Grams of nine
    sites as wide as the model and of two as wide as the feed-forward layer, and both models' own Grams at six and one
    of them. Padding is counted throughout, so the Grams are an upper bound. Sum it over batches.
    """

    def grams(wide: int, ffn: int, small: tuple[int, int], large: tuple[int, int]) -> int:
        cross = 9 * small[0] * large[0] + 2 * small[1] * large[1]
        return cross + wide * (small[0] ** 2 + large[0] ** 2) + ffn * (small[1] ** 2 + large[1] ** 2)

    widths = (small.width, small.ffn), (large.width, large.ffn)
    embeddings = small.width * large.width + small.width**2 + large.width**2
    products = 2 * tokens * (pairs * grams(6, 1, *widths) + embeddings)
    return examples * (encoder_flops(small, tokens) + encoder_flops(large, tokens) + products)


def similarity_flops(small: Shape, large: Shape, tokens: int) -> int:
    """FLOPs of the products of `graft.merging.alignment.cka.layer_similarity` over so many tokens, forward passes
    apart."""
    across = (small.layers + 1) * (large.layers + 1) * small.width * large.width
    return 2 * tokens * (across + sum((shape.layers + 1) * shape.width**2 for shape in (small, large)))


def procrustes_flops(small: int, large: int) -> int:
    """FLOPs of one map [small, large]: thin SVD with both factors, 6 n m^2 + 20 m^3 for m <= n, and their product.

    Source of the SVD's count: Golub & Van Loan, Matrix Computations, 4th ed., figure 8.6.1 (R-SVD).
    """
    m, n = sorted((small, large))
    return 6 * n * m**2 + 20 * m**3 + 2 * small * large * m


def theseus_flops(small: Shape, large: Shape, pairs: int, embedding_delta: bool = False) -> int:
    """FLOPs of `Theseus.prepare`: one map per site of each of `pairs` mapped pairs of layers, and the transport."""
    width, ffn = (small.width, large.width), (small.ffn, large.ffn)
    per_pair = 8 * procrustes_flops(*width) + 2 * procrustes_flops(*ffn) + transport_flops(small, large)
    embeddings = procrustes_flops(*width) + 2 * small.vocabulary * small.width * large.width
    return pairs * per_pair + (embeddings if embedding_delta else 0)


def transport_flops(small: Shape, large: Shape) -> int:
    """FLOPs of carrying the changes of one layer's six weight matrices over: two products each."""

    def carried(outputs: tuple[int, int], inputs: tuple[int, int]) -> int:
        # P_out^T dW [L, S] first, then times the entry's map [L, L].
        return 2 * outputs[1] * outputs[0] * inputs[0] + 2 * outputs[1] * inputs[0] * inputs[1]

    width, ffn = (small.width, large.width), (small.ffn, large.ffn)
    return 4 * carried(width, width) + carried(ffn, width) + carried(width, ffn)


def affine_flops(small: int, large: int) -> int:
    """FLOPs of least squares maps in both directions from their moments: two eigendecompositions and their products."""
    there, back = (EIGENDECOMPOSITION * w**3 + 4 * w**2 * other for w, other in ((small, large), (large, small)))
    return there + back


def functional_flops(small: Shape, large: Shape, pairs: int, tokens: int) -> tuple[int, int]:
    """FLOPs of `Functional.prepare` and of one `Functional.apply` on so many tokens.

    Attention's own products are left out of the passes, since they depend on the texts' lengths. An apply runs every
    block nine times (untouched, six times for inputs of the merged one, and a step of both), and solves for every
    linear layer: Gram, cross products, eigendecomposition.
    """
    passes = {
        shape: 2 * tokens * shape.layers * (4 * shape.width**2 + 2 * shape.width * shape.ffn)
        for shape in (small, large)
    }
    prepare = 2 * passes[small] + (2 * pairs + 1) * affine_flops(small.width, large.width)
    prepare += pairs * affine_flops(small.ffn, large.ffn)
    width, ffn = (small.width, large.width), (small.ffn, large.ffn)
    linears = (*[(width, width)] * 4, (width, ffn), (ffn, width))
    # For every layer: the mapped change, the correction, the cross product; and the solution.
    products = sum(2 * tokens * (out[0] * out[1] + 2 * into[1] * out[1]) for into, out in linears)
    solutions = sum(4 * into[1] ** 2 * out[1] for into, out in linears)
    grams = sum(2 * tokens * w**2 + EIGENDECOMPOSITION * w**3 for w in (*[large.width] * 5, large.ffn))
    return prepare, 9 * passes[large] + pairs * (products + solutions + grams)


def spacewise_flops(small: Shape, large: Shape, pairs: int, options: Mapping[str, Any]) -> int:
    """FLOPs of `Spacewise.prepare`: the maps of every space, and the transport. Maps by head are counted as whole
    ones."""
    width, ffn = (small.width, large.width), (small.ffn, large.ffn)
    fit = affine_flops if options["alignment"] == "least_squares" else procrustes_flops
    streams = 1 if options["residual"] != "per_site" else 1 + 3 * pairs
    maps = (2 * pairs + streams) * fit(*width) + pairs * fit(*ffn)
    tables = small.vocabulary + small.positions + small.types
    embeddings = 2 * tables * small.width * large.width if options["embedding_delta"] else 0
    return maps + pairs * transport_flops(small, large) + embeddings
