"""Floating-point operations counted from shapes: 2 per multiply-add, matrix products only. Imports no torch.

LayerNorm, soft-max, GELU, look-ups and pooling over tokens are left out, as `torch.utils.flop_counter` leaves them out,
and so are products with a single vector (biases, means) and outer products. Decompositions, which it leaves out too,
are counted by formula (`eigen_flops`, `svd_flops`). Passes of an encoder for its hidden states are counted without the
pooler, which Hugging Face runs all the same.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np

from graft.registry import readouts
from graft.registry.alignments import EASY_RIDGE, PLANS
from graft.registry.shapes import Shape

# Columns of a Gram matrix that are computed at once, from the diagonal down.
GRAM_BLOCK = 384
# Texts that share what a batch computes once, in counts for one of them: those of a whole batch.
SHARING = 32
BACKWARD_AND_FORWARD = 3  # a backward pass has two products for each product of the forward pass


def summed_flops(flops: Callable[[int], int], lengths: np.ndarray) -> int:
    """FLOPs of examples padded to `lengths` [rows] in tokens; `flops(t)` is the cost of one example at t tokens."""
    values, counts = np.unique(lengths, return_counts=True)
    return sum(int(n) * flops(int(t)) for t, n in zip(values, counts, strict=True))


def encoder_flops(shape: Shape, tokens: int, layers: int | None = None) -> int:
    """Forward FLOPs of the encoder layers (or the first `layers` of them) for one example padded to `tokens`."""
    layers = shape.layers if layers is None else layers
    products_with_weights = 2 * tokens * (4 * shape.width**2 + shape.feed_forward)
    return layers * (products_with_weights + _attention(shape, tokens) + _positions(shape) // SHARING)


def _attention(shape: Shape, tokens: int) -> int:
    """FLOPs of one layer's scores and contexts for one example padded to `tokens`."""
    return 4 * tokens * (tokens + shape.relative_rows) * shape.width


def _positions(shape: Shape) -> int:
    """FLOPs of one layer's queries and keys of all relative positions, which a batch computes once."""
    return 2 * shape.relative_rows * linear_flops(shape.width, shape.width)


def block_flops(shape: Shape, tokens: int) -> int:
    """FLOPs of one layer for `tokens` tokens without attention's own products, which depend on texts' lengths."""
    return 2 * tokens * (4 * shape.width**2 + shape.feed_forward)


def pooler_flops(shape: Shape) -> int:
    """Forward FLOPs of the pooler for one example (it reads the first token only)."""
    return 2 * shape.width**2


def linear_flops(inputs: int, outputs: int) -> int:
    """Forward FLOPs of one linear layer for one vector."""
    return 2 * inputs * outputs


def logits_flops(shape: Shape, outputs: int) -> int:
    """Forward FLOPs of a classifier's head (pooler, linear) for one example."""
    return pooler_flops(shape) + linear_flops(shape.width, outputs)


def classifier_flops(shape: Shape, tokens: int, outputs: int) -> int:
    """Forward FLOPs of a classifier (encoder, pooler, linear) for one example padded to `tokens`."""
    return encoder_flops(shape, tokens) + logits_flops(shape, outputs)


def packed_flops(shape: Shape, lengths: np.ndarray, outputs: int) -> int:
    """Forward FLOPs of a classifier for a batch of examples of `lengths` [rows] in tokens, packed.

    Linear layers compute real tokens only, and behind the last layer's attention only each example's first, unless a
    classifier reads the mean of all; attention computes the batch padded to its longest example
    (graft.encoders.packing).
    """
    rows, tokens, square = len(lengths), int(lengths.sum()), linear_flops(shape.width, shape.width)
    behind = square + 2 * shape.feed_forward
    attention = rows * _attention(shape, int(lengths.max())) + _positions(shape)
    layers = shape.layers * (tokens * (3 * square + behind) + attention)
    dropped = (tokens - rows) * behind if shape.pooling == "cls" else 0
    return layers - dropped + rows * logits_flops(shape, outputs)


def training_flops(forward: int) -> int:
    """FLOPs of a training step whose forward pass takes `forward`, without recomputation."""
    return BACKWARD_AND_FORWARD * forward


def lora_flops(shape: Shape, tokens: int, outputs: int, rank: int, targets: Collection[str]) -> tuple[int, int]:
    """FLOPs of a forward pass, and of a training step, of a classifier with low-rank adapters.

    Adapters sit on the `targets` among every attention's linear layers; one example padded to `tokens`. Frozen layers
    have no weight gradients. The first block, with nothing trainable before it, has no input gradient either: there
    the backward pass covers only the paths that lead to adapters.
    """
    adapters = len(targets) * tokens * (linear_flops(shape.width, rank) + linear_flops(rank, shape.width))
    forward = classifier_flops(shape, tokens, outputs) + shape.layers * adapters
    square = tokens * linear_flops(shape.width, shape.width)
    products = 2 * tokens**2 * shape.width  # of queries and keys; of weights and values
    behind = square + 2 * tokens * shape.feed_forward
    trained = {name: name in targets for name in ("query", "key", "value")}
    scores = products * (trained["query"] + trained["key"])
    weights = products * (bool(scores) + trained["value"])
    first = behind + scores + weights + 2 * adapters - len(targets) * tokens * linear_flops(shape.width, rank)
    others = (shape.layers - 1) * (behind + 3 * square + 4 * products + 2 * adapters)
    return forward, forward + first + others + 2 * logits_flops(shape, outputs)


def eigen_flops(size: int) -> int:
    """FLOPs of the eigendecomposition, with vectors, of one symmetric matrix [size, size].

    Source: Golub & Van Loan, Matrix Computations, 4th ed., section 8.3.
    """
    return 9 * size**3


def cholesky_flops(size: int) -> int:
    """FLOPs of the Cholesky factorisation of one matrix [size, size].

    Source: Golub & Van Loan, Matrix Computations, 4th ed., section 4.2.
    """
    return size**3 // 3


def svd_flops(rows: int, columns: int) -> int:
    """FLOPs of one thin SVD with both factors: 6 n m^2 + 20 m^3 for m <= n.

    Source: Golub & Van Loan, Matrix Computations, 4th ed., figure 8.6.1 (R-SVD).
    """
    m, n = sorted((rows, columns))
    return 6 * n * m**2 + 20 * m**3


def ridge_flops(rows: int, features: int, outputs: int, sizes: int = 1, scored: int = 0) -> int:
    """FLOPs of one closed-form ridge fit: Gram, cross products, one eigendecomposition, one solution per ridge size.

    Each product with the eigenvectors, one into their basis and one back for every ridge size, is 2 f^2 c. `scored`:
    rows that the map of every size is then applied to.
    """
    gram_and_cross = 2 * rows * features * (features + outputs)
    solutions = 2 * features**2 * outputs * (1 + sizes)
    return gram_and_cross + eigen_flops(features) + solutions + sizes * scored * linear_flops(features, outputs)


def layers_probe_flops(shape: Shape, rows: int, outputs: int, sizes: Collection[float], scored: int) -> int:
    """FLOPs of fitting and scoring every probe of `graft.registry.readouts`, without the pass that computes the states.

    The products of a block of states are computed once for all of its parts, which are solved for each ridge size.
    """
    total = 0
    for block in readouts.blocks(shape.layers):
        width = len(block) * shape.width
        total += 2 * rows * width * (width + outputs)
        for part in readouts.parts(block):
            width = len(block[part]) * shape.width
            total += sum(solve_flops(width, outputs, size) + scored * linear_flops(width, outputs) for size in sizes)
    return total


def head_flops(head: str, small: Shape, large: Shape, outputs: int, rows: int, sizes: int, scored: int = 0) -> int:
    """FLOPs of `graft.merging.classifier_heads.fitting.fit_heads` on the states of `rows` rows, at `sizes` ridge sizes.

    `scored`: rows for which every head then computes logits. The passes that compute the states are not counted here.
    """
    if head == "transplant":
        fit = ridge_flops(rows, large.width, small.width, sizes) + sizes * 2 * small.width**2 * large.width
    else:
        fit = ridge_flops(rows, large.width, outputs, sizes) + rows * pooler_flops(large)
    if head == "label-free":
        fit += rows * logits_flops(small, outputs)
    return fit + sizes * scored * logits_flops(large, outputs)


def moments_size(small: Shape, large: Shape, pairs: int) -> int:
    """Numbers in the matrices that `graft.merging.calibration.calibrate` sums for `pairs` mapped pairs of layers.

    Per pair: cross-Grams at nine sites of the model's width and two of the feed-forward width, three with gates, and
    each model's own Gram at six and one of these. In addition, all three at the embeddings.
    """
    wide = small.width**2 + large.width**2
    inner = 2 + (small.kind.gated and large.kind.gated)
    per_pair = 9 * small.width * large.width + inner * small.ffn * large.ffn + 6 * wide + small.ffn**2 + large.ffn**2
    return pairs * per_pair + small.width * large.width + wide


def moments_flops(small: Shape, large: Shape, pairs: int, tokens: int) -> int:
    """FLOPs of the products of `graft.merging.calibration.calibrate` on `tokens`, without forward passes."""
    return 2 * tokens * moments_size(small, large, pairs)


def similarity_flops(small: Shape, large: Shape, tokens: int) -> int:
    """FLOPs of the products of `graft.merging.alignment.cka.layer_similarity` on `tokens`, without forward passes."""
    across = (small.layers + 1) * (large.layers + 1) * small.width * large.width
    return 2 * tokens * (across + sum((shape.layers + 1) * shape.width**2 for shape in (small, large)))


def procrustes_flops(small: int, large: int) -> int:
    """FLOPs of one map [small, large]: the SVD of the cross-covariance and the product of its factors."""
    return svd_flops(small, large) + 2 * small * large * min(small, large)


def transport_flops(small: Shape, large: Shape) -> int:
    """FLOPs of transporting the changes of one layer's weight matrices: two products each."""

    def carried(outputs: tuple[int, int], inputs: tuple[int, int]) -> int:
        # P_out^T dW [L, S] first, then times the input's map, giving [L, L].
        return 2 * outputs[1] * outputs[0] * inputs[0] + 2 * outputs[1] * inputs[0] * inputs[1]

    width, ffn = (small.width, large.width), (small.ffn, large.ffn)
    gates = small.kind.gated and large.kind.gated
    return 4 * carried(width, width) + (1 + gates) * carried(ffn, width) + carried(width, ffn)


def solve_flops(size: int, columns: int, ridge: float) -> int:
    """FLOPs of ridge regression from a Gram matrix [size, size].

    A Cholesky factorisation and two triangular solves per column or, for a small ridge, an eigendecomposition and two
    products.
    """
    if ridge >= EASY_RIDGE:
        return cholesky_flops(size) + 2 * size**2 * columns
    return eigen_flops(size) + 4 * size**2 * columns


def gram_flops(rows: int, size: int) -> int:
    """FLOPs of a Gram matrix [size, size] of `rows` rows; only blocks on and below the diagonal are computed."""
    return sum(2 * rows * (size - start) * min(GRAM_BLOCK, size - start) for start in range(0, size, GRAM_BLOCK))


def weights_first(inputs: int, outputs: int) -> bool:
    """Whether X^T (Y W^T) takes less than (X^T Y) W^T for X and Y [many, inputs] and W [outputs, inputs]."""
    return 2 * outputs < inputs


def refit_flops(tokens: int, inputs: int, outputs: list[tuple[int, int]], ridge: float) -> int:
    """FLOPs of refitting linear layers that share their inputs on some tokens; outputs of the small and large one."""
    small, large = (sum(widths) for widths in zip(*outputs, strict=True))
    first = weights_first(inputs, large)
    cross = 2 * tokens * inputs * (small + (2 * large if first else inputs))
    # With a row for the means.
    mapped = 2 * (inputs + 1) * (sum(one * other for one, other in outputs) + (not first) * inputs * large)
    return gram_flops(tokens, inputs) + cross + mapped + solve_flops(inputs, large, ridge)


def affine_flops(small: int, large: int, ridge: float) -> int:
    """FLOPs of fitting least-squares maps in both directions from their moments."""
    return solve_flops(small, large, ridge) + solve_flops(large, small, ridge)


def maps_flops(alignment: str, small: int, large: int, ridge: float) -> int:
    """FLOPs of fitting both maps of one space from their moments; finding a transport plan takes no matrix products."""
    if alignment in PLANS:
        return 0
    if alignment == "whitened":
        roots = sum(eigen_flops(w) + 4 * w**3 for w in (small, large))
        return roots + procrustes_flops(small, large) + 6 * small * large * (small + large)
    return affine_flops(small, large, ridge) if alignment == "least_squares" else procrustes_flops(small, large)


def missed_flops(small: Shape, large: Shape, pairs: int, per_site: bool = False) -> int:
    """FLOPs of computing the residual of the maps of every space: one product per map."""
    wide = 1 + (5 if per_site else 2) * pairs
    return 2 * (wide * small.width**2 * large.width + pairs * small.ffn**2 * large.ffn)


def embedding_flops(small: Shape, large: Shape) -> int:
    """FLOPs of transporting the three embedding tables: one product each."""
    return 2 * (small.vocabulary + small.position_rows + small.types + small.relative_rows) * small.width * large.width


def masked_lm_flops(shape: Shape, rows: int, tokens: int, guessed: int) -> int:
    """FLOPs of one step of masked language modelling on `rows` examples padded to `tokens`.

    The encoder without its pooler, and a dense layer and the vocabulary's logits for each of the `guessed` tokens,
    summed over the rows.
    """
    guess = linear_flops(shape.width, shape.width) + linear_flops(shape.width, shape.vocabulary)
    return training_flops(rows * encoder_flops(shape, tokens) + guessed * guess)


def distil_step_flops(teacher: Shape, student: Shape, tokens: int) -> int:
    """FLOPs of one step of distillation per example.

    The teacher's forward pass and attention scores; the student's pass, projections of every level and attention
    scores, forward and backward.
    """
    projections = 2 * tokens * student.width * teacher.width * (student.layers + 1)
    scores = 2 * tokens**2 * student.layers
    trained = encoder_flops(student, tokens) + projections + scores * student.width
    return encoder_flops(teacher, tokens) + scores * teacher.width + training_flops(trained)


def distil_start_flops(student: Shape, teacher: Shape, batches: Iterable[tuple[int, int]], start: str) -> int:
    """FLOPs of a distillation before its first step and after its last: passes over the start's texts, regressions.

    `batches`: examples and padded length in tokens of each batch; `start`: "teacher" (closed form) or "random".
    """
    closed_form = start == "teacher" and (student.width, student.ffn) != (teacher.width, teacher.ffn)
    # The variances and the pooler take two passes of the teacher; the closed form takes one more, and one per layer.
    teacher_passes, student_passes = (student.layers + 3, student.layers + 2) if closed_form else (2, 1)
    flops = 0
    for rows, length in batches:
        flops += rows * teacher_passes * encoder_flops(teacher, length)
        flops += rows * student_passes * encoder_flops(student, length)
        if closed_form:
            flops += rows * length * _closed_form_flops(student, teacher)
    return flops


def _closed_form_flops(student: Shape, teacher: Shape) -> int:
    """FLOPs per token of the regressions in `graft.training.distil_start.start_from_teacher`, without its passes."""
    covariances = (student.layers + 1) * teacher.width**2
    into_basis = (2 * student.layers + 1) * teacher.width * student.width
    narrow = 5 * student.width * (student.width + student.width) + student.width * (student.width + student.ffn)
    wide = 2 * student.ffn * (student.ffn + student.width)
    return 2 * (covariances + into_basis + student.layers * (narrow + wide))


def evidence_flops(small: Shape, large: Shape, pairs: int, options: Any) -> int:
    """FLOPs of `graft.merging.alignment.evidence.from_weights` if a method with these options uses it, else 0.

    Three Gram matrices of the embedded vocabulary; for each of them, W G W^T for every linear layer of every mapped
    pair; and the feed-forward units of all tokens with their Gram matrices.
    """
    if options.evidence != "weights":
        return 0
    width, ffn = (small.width, large.width), (small.ffn, large.ffn)
    gates = small.kind.gated and large.kind.gated
    linears = (*[(width, width)] * 4, *[(width, ffn)] * (1 + gates), (ffn, width))
    sides = ((0, 0), (0, 1), (1, 1))

    def products(units: tuple[int, int]) -> int:
        return sum(2 * small.vocabulary * units[a] * units[b] for a, b in sides)

    through = sum(2 * out[a] * into[b] * (into[a] + out[b]) for into, out in linears for a, b in sides)
    units = sum(2 * small.vocabulary * (1 + s.kind.gated) * s.width * s.ffn for s in (small, large))
    return products(width) + pairs * (through + units + products(ffn))
