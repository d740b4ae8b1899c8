"""Closed-form initialisation of a distilled student: each module in turn is fitted to its counterpart in the teacher.

If the widths are equal, the teacher's tensors are copied. Otherwise the student's hidden states live in the teacher's
principal subspace: z = c (h - mean) E, with E [w_L, w_S]. Each row of E sums to zero over its w_S columns, because
LayerNorm removes the mean over units and would otherwise destroy one direction of the subspace.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from graft.encoders.network import Added, Encoder, Layer
from graft.training.unlabelled import Autocast, Batch

RIDGE = 1e-2  # of the mean diagonal of the features' covariance


@dataclass(frozen=True)
class Basis:
    """Affine map from teacher states h [n, w_L] to student states z = scale (h - mean) E; `directions` is E."""

    mean: Tensor  # [w_L]
    directions: Tensor  # [w_L, w_S]
    scale: float

    def small(self, states: Tensor) -> Tensor:
        """Map teacher states [n, w_L] to student coordinates [n, w_S]."""
        return self.scale * (states.double() - self.mean) @ self.directions

    @property
    def weight(self) -> Tensor:
        """Weight [w_L, w_S] of the inverse map, `fit_dense`: h = z weightᵀ + mean."""
        return self.directions / self.scale


def state_basis(levels: Sequence[Tensor], width: int) -> Basis:
    """Principal components of the teacher's states, spread over `width` units; all levels [n, w_L] weigh the same.

    At most width - 1 components fit (see the module docstring). Exact if the rank of the states is below `width`.
    """
    mean = torch.stack([level.double().mean(0) for level in levels]).mean(0)
    second = torch.zeros(mean.numel(), mean.numel(), dtype=torch.float64)
    for level in levels:
        centred = level.double() - mean
        covariance = centred.T @ centred / len(centred)  # [w_L, w_L]
        second += covariance / covariance.trace()
    components = torch.linalg.svd(second)[0][:, : width - 1]  # [w_L, min(w_L, w_S - 1)]
    spread = _zero_mean_rows(width)[: components.shape[1]]  # [k, w_S], orthonormal
    size = sum(((level.double() - mean) @ components).square().sum(1).mean() for level in levels) / len(levels)
    return Basis(mean, components @ spread, float((width / size) ** 0.5))


def _zero_mean_rows(width: int) -> Tensor:
    """Orthonormal rows [width - 1, width] that each sum to zero and spread over all units (discrete cosines)."""
    unit = torch.arange(width, dtype=torch.float64)
    frequency = torch.arange(1, width, dtype=torch.float64)[:, None]
    return (2.0 / width) ** 0.5 * torch.cos(torch.pi / width * (unit + 0.5) * frequency)


def ridge(features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Weight [d_out, d_in] and bias [d_out] of the ridge regression of targets [n, d_out] on features [n, d_in]."""
    features, targets = features.double(), targets.double()
    x_mean, y_mean = features.mean(0), targets.mean(0)
    x, y = features - x_mean, targets - y_mean
    gram = x.T @ x
    gram.diagonal().add_(RIDGE * gram.diagonal().mean() + 1e-12)
    weight = torch.linalg.solve(gram, x.T @ y).T
    return weight, y_mean - weight @ x_mean


def start_from_teacher(
    student: Encoder, teacher: Encoder, batches: Sequence[Batch], autocast: Autocast
) -> tuple[Tensor, Tensor]:
    """Initialise `student` in place; returns the shared projection's weight [w_L, w_S] and bias [w_L].

    `batches` hold a few thousand tokens of the distillation texts. Student layer m follows teacher layer
    g(m) = m L / S, counted from 1.
    """
    small, large = student.config, teacher.config
    step = large.num_hidden_layers // small.num_hidden_layers
    if small.hidden_size == large.hidden_size and small.intermediate_size == large.intermediate_size:
        _copy(student, teacher, step)
        return torch.eye(large.hidden_size), torch.zeros(large.hidden_size)
    modules = [teacher.embeddings] + [teacher.encoder.layer[i] for i in range(step - 1, large.num_hidden_layers, step)]
    levels = captured(teacher, batches, {str(i): (module, "output") for i, module in enumerate(modules)}, autocast)
    basis = state_basis(list(levels.values()), small.hidden_size)
    with torch.no_grad():
        _start_embeddings(student, teacher, basis, levels["0"])
        norm = student.embeddings.LayerNorm
        sums = captured(student, batches, {"sum": (norm, "input")}, autocast)["sum"]
        state = _fit_norm(norm, sums.double(), basis.small(levels["0"]))
        for index, layer in enumerate(student.encoder.layer):
            target = teacher.encoder.layer[(index + 1) * step - 1]
            state = _start_layer(student, layer, state, teacher, target, basis, batches, autocast)
    return basis.weight.float(), basis.mean.float()


def fit_pooler(student: Encoder, teacher: Encoder, batches: Sequence[Batch], autocast: Autocast) -> None:
    """Fit the student's pooler in place to the principal components of the teacher's pooler output before its tanh.

    Distillation has no loss on the pooler, yet every head sits on it. At equal widths the targets are the teacher's
    own units.
    """
    cls = captured(teacher, batches, {"large": (teacher.pooler.dense, "output")}, autocast)["large"].double()
    own = captured(student, batches, {"small": (student.pooler.dense, "input")}, autocast)["small"]
    width = student.shape.width
    if width < cls.shape[1]:
        centred = cls - cls.mean(0)
        components = torch.linalg.svd(centred.T @ centred)[0][:, : width - 1]
        # Spread over all units, as for the states: plain principal components would saturate the first tanh units
        # and leave the last ones near zero.
        cls = centred @ components @ _zero_mean_rows(width)[: components.shape[1]]
        cls = cls / cls.std()
    with torch.no_grad():
        _set(student.pooler.dense, *ridge(own, cls))


def captured(
    model: Encoder, batches: Iterable[Batch], points: dict[str, tuple[nn.Module, str]], autocast: Autocast
) -> dict[str, Tensor]:
    """Capture inputs or outputs [n, d] of modules over the real tokens of `batches` (of the pooler: one per text).

    `points` maps a name to (module, "input" | "output").
    """
    seen: dict[str, list[Tensor]] = {name: [] for name in points}
    mask: Tensor

    def keep(name: str, side: str, _: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | tuple[Tensor]) -> None:
        value = inputs[0] if side == "input" else output
        value = value[0] if isinstance(value, tuple) else value
        seen[name].append((value[mask] if value.dim() == 3 else value).float().cpu())

    handles = [module.register_forward_hook(partial(keep, name, side)) for name, (module, side) in points.items()]
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), autocast():
            for batch in batches:
                mask = batch["attention_mask"].bool()
                model(**batch)
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return {name: torch.cat(values) for name, values in seen.items()}


def _copy(student: Encoder, teacher: Encoder, step: int) -> None:
    embeddings = teacher.embeddings.state_dict()
    name = "position_embeddings.weight"
    embeddings[name] = embeddings[name][: student.shape.positions]
    student.embeddings.load_state_dict(embeddings)
    student.pooler.load_state_dict(teacher.pooler.state_dict())
    for index, layer in enumerate(student.encoder.layer):
        layer.load_state_dict(teacher.encoder.layer[(index + 1) * step - 1].state_dict())


def _start_embeddings(student: Encoder, teacher: Encoder, basis: Basis, outputs: Tensor) -> None:
    """Project the word, position and type embeddings through the basis.

    The teacher's LayerNorm is folded into each word's row (with the mean position and type added), so that the
    student's sum has the direction of the teacher's normalised output.
    """
    large, small = teacher.embeddings, student.embeddings
    word, *others = (
        (name, table.cpu().double()) for name, table in large.named_parameters() if name.endswith("embeddings.weight")
    )
    gain, bias = large.LayerNorm.weight.cpu().double(), large.LayerNorm.bias.cpu().double()
    whole = sum((table.mean(0) for _, table in others), word[1])
    deviation = whole.std(1, keepdim=True, correction=0).clamp_min(1e-6)
    into = gain[:, None] * basis.directions * basis.scale  # [w_L, w_S]
    offset = basis.scale * (bias - outputs.double().mean(0)) @ basis.directions
    small.word_embeddings.weight.copy_((whole - whole.mean(1, keepdim=True)) / deviation @ into + offset)
    for name, values in others:
        table = small.get_parameter(name)
        difference = values - values.mean(0)
        rows = (difference - difference.mean(1, keepdim=True)) / deviation.mean() @ into
        table.copy_(rows[: len(table)])  # a student may have fewer positions


def _start_layer(
    student: Encoder,
    layer: Layer,
    state: Tensor,
    teacher: Encoder,
    target: Layer,
    basis: Basis,
    batches: Sequence[Batch],
    autocast: Autocast,
) -> Tensor:
    """Fit one student layer, part by part, on the actual output `state` [n, w_S] of the student's earlier layers.

    Returns the fitted layer's output states [n, w_S].
    """
    theirs, ours = target.attention.self, layer.attention.self
    parts: dict[str, nn.Module] = {"q": theirs.query, "k": theirs.key, "v": theirs.value}
    parts |= {"attended": target.attention.output, "inner": target.intermediate.dense, "state": target}
    want = captured(teacher, batches, {name: (module, "output") for name, module in parts.items()}, autocast)
    out_weight = target.attention.output.dense.weight.cpu().double().T @ basis.directions  # [w_L, w_S]
    reduced = _reduced_heads(want["q"], want["k"], want["v"], out_weight, ours.heads, ours.size)
    for linear, features in zip((ours.query, ours.key, ours.value), reduced, strict=True):
        _set(linear, *ridge(state, features))
    contexts = captured(student, batches, {"x": (layer.attention.output.dense, "input")}, autocast)["x"].double()
    attended = _fit_residual(layer.attention.output, contexts, state, basis.small(want["attended"]))

    inner = want["inner"].double()
    activation = nn.functional.gelu
    reach = (target.output.dense.weight.cpu().double().T @ basis.directions).norm(dim=1)  # [ffn_L]
    largest = (activation(inner).std(0) * reach).topk(layer.intermediate.dense.out_features)
    weight, bias = ridge(attended, inner[:, largest.indices.sort().values])
    _set(layer.intermediate.dense, weight, bias)
    return _fit_residual(layer.output, activation(attended @ weight.T + bias), attended, basis.small(want["state"]))


def _reduced_heads(
    q: Tensor, k: Tensor, v: Tensor, out_weight: Tensor, heads: int, size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Reduce q, k, v [n, heads * d] to `size` dimensions per head, best preserving scores and the head's output.

    Data-weighted low-rank approximation: of C_q^½ C_k^½ for scores (keys centred, since softmax is invariant to a shift
    shared by all keys), of C_v^½ W_O for outputs. `out_weight` is W_Oᵀ in student coordinates [heads * d, w_S].
    """
    reduced = []
    by_head = (states.double().chunk(heads, 1) for states in (q, k, v))
    for q_h, k_h, v_h, out_h in zip(*by_head, out_weight.chunk(heads, 0), strict=True):
        q_root, q_inverse = _roots(q_h.T @ q_h / len(q_h))
        k_centred = k_h - k_h.mean(0)
        k_root, k_inverse = _roots(k_centred.T @ k_centred / len(k_h))
        left, values, right = torch.linalg.svd(q_root @ k_root)
        # Scores are divided by the square root of the head width, which differs between the two models.
        gain = values[:size].sqrt() * (size / q_h.shape[1]) ** 0.25
        query = q_h @ q_inverse @ left[:, :size] * gain
        key = k_centred @ k_inverse @ right.T[:, :size] * gain
        v_centred = v_h - v_h.mean(0)
        v_root, v_inverse = _roots(v_centred.T @ v_centred / len(v_h))
        reduced.append((query, key, v_centred @ v_inverse @ torch.linalg.svd(v_root @ out_h)[0][:, :size]))
    query, key, value = (torch.cat(parts, 1) for parts in zip(*reduced, strict=True))
    return query, key, value


def _roots(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Symmetric square root of a covariance, and its pseudo-inverse."""
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > 1e-9 * values[-1].clamp_min(1e-30)
    root = values.clamp_min(0).sqrt()
    inverse = torch.where(kept, 1 / root.clamp_min(1e-30), torch.zeros_like(root))
    return vectors * root @ vectors.T, vectors * inverse @ vectors.T


def _fit_residual(block: Added, inputs: Tensor, residual: Tensor, target: Tensor) -> Tensor:
    """Fit `block`, LayerNorm(dense(inputs) + residual), to target states [n, w_S]; returns its output [n, w_S].

    LayerNorm fixes the norm of its output, so the sum only has to match the target's direction. The length of the sum
    relative to the given residual is one more unknown; `share` is its inverse.
    """
    direction = nn.functional.layer_norm(target - target.mean(0), target.shape[1:])
    weight, bias = ridge(inputs, direction)
    weight_r, bias_r = ridge(inputs, residual)
    left = direction - inputs @ weight.T - bias
    left_r = residual - inputs @ weight_r.T - bias_r
    # The bounds keep the sum's length sane where the inputs explain nearly all of the residual.
    share = float(((left * left_r).sum() / left_r.square().sum()).clamp(0.3, 3.0))
    weight, bias = weight / share - weight_r, bias / share - bias_r
    _set(block.dense, weight, bias)
    return _fit_norm(block.LayerNorm, inputs @ weight.T + bias + residual, target)


def _fit_norm(norm: nn.LayerNorm, sums: Tensor, target: Tensor) -> Tensor:
    """Fit `norm`'s gain and bias per unit by least squares of `target` on the normalised `sums`; returns its output."""
    normalised = nn.functional.layer_norm(sums, sums.shape[1:], eps=norm.eps)
    x, y = normalised - normalised.mean(0), target - target.mean(0)
    gain = (x * y).sum(0) / x.square().sum(0).clamp_min(1e-12)
    bias = target.mean(0) - gain * normalised.mean(0)
    norm.weight.copy_(gain)
    norm.bias.copy_(bias)
    return normalised * gain + bias


def _set(linear: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    linear.weight.copy_(weight)
    linear.bias.copy_(bias)
