"""Floating-point operations counted from shapes: 2 per multiply-add, matrix products only. Imports no torch.

LayerNorm, soft-max, GELU, look-ups and pooling over tokens are left out, as `torch.utils.flop_counter` leaves them out.
"""

from collections.abc import Callable, Iterable

import numpy as np

from graft.shapes import Shape

BACKWARD_AND_FORWARD = 3  # a backward pass has two products for each product of the forward pass
EIGENDECOMPOSITION = 9  # f^3 operations of a symmetric f x f matrix with vectors (Golub & Van Loan, 4th ed., 8.3)


def summed_flops(flops: Callable[[int], int], lengths: np.ndarray) -> int:
    """FLOPs of examples padded to `lengths` [rows] tokens; `flops(t)` is the cost of one at t tokens."""
    values, counts = np.unique(lengths, return_counts=True)
    return sum(int(n) * flops(int(t)) for t, n in zip(values, counts, strict=True))


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


def calibration_flops(small: Shape, large: Shape, examples: int, tokens: int) -> int:
    """FLOPs of `graft.merging.calibration.calibrate` on `examples` examples padded to `tokens`.

    Two forward passes without the pooler, and for every mapped pair of layers the cross-Grams of eight sites as wide as
    the model (attention.in, query, key, value, context, attention_output, intermediate.in, output) and of two as wide
    as the feed-forward layer. Padding is counted in both, so the cross-Grams are an upper bound. Sum it over batches.
    """
    cross = 2 * tokens * small.layers * (8 * small.width * large.width + 2 * small.ffn * large.ffn)
    embeddings = 2 * tokens * small.width * large.width
    return examples * (encoder_flops(small, tokens) + encoder_flops(large, tokens) + cross + embeddings)


def procrustes_flops(small: int, large: int) -> int:
    """FLOPs of one map [small, large]: thin SVD with both factors, 6 n m^2 + 20 m^3 for m <= n, and their product.

    Source of the SVD's count: Golub & Van Loan, Matrix Computations, 4th ed., figure 8.6.1 (R-SVD).
    """
    m, n = sorted((small, large))
    return 6 * n * m**2 + 20 * m**3 + 2 * small * large * m


def theseus_flops(small: Shape, large: Shape, embedding_delta: bool = False) -> int:
    """FLOPs of `Theseus.prepare`: one map per site of every small layer, and two products per weight matrix."""

    def transport(outputs: tuple[int, int], inputs: tuple[int, int]) -> int:
        # T_out^T dW [L, S] first, then times T_in [L, L].
        return 2 * outputs[1] * outputs[0] * inputs[0] + 2 * outputs[1] * inputs[0] * inputs[1]

    width, ffn = (small.width, large.width), (small.ffn, large.ffn)
    per_layer = 8 * procrustes_flops(*width) + 2 * procrustes_flops(*ffn)
    per_layer += 4 * transport(width, width) + transport(ffn, width) + transport(width, ffn)
    embeddings = procrustes_flops(*width) + 2 * small.vocabulary * small.width * large.width
    return small.layers * per_layer + (embeddings if embedding_delta else 0)


def distil_step_flops(teacher: Shape, student: Shape, tokens: int) -> int:
    """FLOPs of one step of distillation per example: the teacher's forward pass; the student's, its projection of every
    level and its attention scores, forward and backward; the teacher's scores forward."""
    projections = 2 * tokens * student.width * teacher.width * (student.layers + 1)
    scores = 2 * tokens**2 * student.layers
    trained = encoder_flops(student, tokens) + projections + scores * student.width
    return encoder_flops(teacher, tokens) + scores * teacher.width + training_flops(trained)


def distil_start_flops(student: Shape, teacher: Shape, batches: Iterable[tuple[int, int]], start: str) -> int:
    """FLOPs of a distillation before its first step and after its last: passes over the start's texts, regressions.

    `batches`: examples and padded tokens of each batch; `start`: "teacher" (closed form) or "random".
    """
    closed_form = start == "teacher" and (student.width, student.ffn) != (teacher.width, teacher.ffn)
    # The variances and the pooler take two passes of the teacher; the closed form one more, and one per layer.
    teacher_passes, student_passes = (student.layers + 3, student.layers + 2) if closed_form else (2, 1)
    flops = 0
    for rows, length in batches:
        flops += rows * teacher_passes * encoder_flops(teacher, length)
        flops += rows * student_passes * encoder_flops(student, length)
        if closed_form:
            flops += rows * length * _closed_form_flops(student, teacher)
    return flops


def _closed_form_flops(student: Shape, teacher: Shape) -> int:
    """FLOPs per token of the regressions of `graft.training.distil_start.start_from_teacher`, without its passes."""
    covariances = (student.layers + 1) * teacher.width**2
    into_basis = (2 * student.layers + 1) * teacher.width * student.width
    narrow = 5 * student.width * (student.width + student.width) + student.width * (student.width + student.ffn)
    wide = 2 * student.ffn * (student.ffn + student.width)
    return 2 * (covariances + into_basis + student.layers * (narrow + wide))
