"""Functional transport: the large model is moved by the small model's change in function, not in weights."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from graft.encoders.architecture import EMBEDDING_NORM, EMBEDDING_TABLES, EMBEDDINGS, LINEAR_SPACES, NORMS, layer_prefix
from graft.encoders.bert import encoder_of
from graft.encoders.states import attention_bias
from graft.encoders.transformers import BertModel
from graft.io.progress import along
from graft.merging.alignment import affine
from graft.merging.alignment.spaces import SpaceMaps, fit_spaces
from graft.merging.moments import CONSTANT
from graft.merging.protocol import Parts, check_parts, small_change

# Linear layers that share one input.
ATTENTION_IN = ("attention.self.query", "attention.self.key", "attention.self.value")
Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Prepared:
    """The merge's inputs, maps, and changes of the small model's linear-layer and LayerNorm outputs, by name."""

    parts: Parts
    maps: SpaceMaps
    changes: Mapping[str, Tensor]

    @property
    def diagnostics(self) -> Mapping[str, float]:
        return self.maps.missed


class Functional:
    """Closed form, without labels; `strength` scales the change of every linear layer's output.

    The large model is walked from its first layer to its last. With X the inputs of a linear layer in the untouched
    large model and X' those in the partly merged one, its outputs should be A = X W^T + strength (A_ft - A_0) P, P
    being the forward map of the layer's exit space. So dW = argmin |X' dW^T - (strength (A_ft - A_0) P - (X' - X)
    W^T)|^2 + ridge, with a change of the bias alike. Without the last term what came in from earlier layers would count
    twice.

    LayerNorms are refitted unit by unit (`layernorm`: fit or leave); embeddings move as in spacewise, if asked to
    (`embedding_delta`). Each strength is a separate walk, many forward passes over the texts. Use it
    where a change in function is small in weights of the small model but not of the large one; it costs more than
    spacewise and needs the texts again.
    Source: ours.
    """

    def prepare(self, parts: Parts) -> Prepared:
        """Fit the maps, and compute how fine-tuning changed the small model's layer outputs on the texts."""
        check_parts(parts)
        if parts.moments is None or not parts.texts:
            raise ValueError("functional transport needs the moments of a calibration and texts; calibrate this pair")
        maps = fit_spaces(parts, affine.fit("least_squares", parts.options.map_ridge))
        before = encoder_of(parts.small_pretrained, parts.small_shape)
        after = encoder_of(parts.small_finetuned, parts.small_shape)
        changes: dict[str, list[Tensor]] = {}
        for batch in _on(before.device, along(parts.texts, parts.report, "batches read by the small models")):
            outputs = [_outputs(model, batch) for model in (before, after)]
            for name, output in outputs[1].items():
                changes.setdefault(name, []).append((output - outputs[0][name]).cpu())
        return Prepared(parts, maps, {name: torch.cat(seen) for name, seen in changes.items()})

    @torch.no_grad()
    def apply(self, state: Prepared, strength: float) -> dict[str, Tensor]:
        """Walk through the large model layer by layer, and return the merged body."""
        parts = state.parts
        if strength == 0:
            return {name: tensor.clone() for name, tensor in parts.large.items()}
        plain, merged = (encoder_of(parts.large, parts.large_shape) for _ in range(2))
        walk = [_Walk(plain, merged, batch) for batch in _on(plain.device, parts.texts)]
        if parts.options.embedding_delta:
            _move_embeddings(state, walk, merged, strength)
        source = {g: m for m, g in parts.depth_map}
        blocks = list(zip(plain.encoder.layer, merged.encoder.layer, strict=True))
        for g, (block, moved) in enumerate(along(blocks, parts.report, "layers moved")):
            if g in source:
                _move_block(state, walk, (block, moved), (source[g], g), strength)
            else:
                for texts in walk:
                    texts.plain, texts.merged = block(texts.plain, texts.bias), moved(texts.merged, texts.bias)
        dtypes = {name: tensor.dtype for name, tensor in parts.large.items()}
        return {name: tensor.to(dtypes[name]) for name, tensor in merged.state_dict().items()}


class _Walk:
    """A batch's current states in the untouched and in the partly merged large model."""

    def __init__(self, plain: BertModel, merged: BertModel, batch: Batch) -> None:
        self.inputs = {name: batch[name] for name in ("input_ids", "token_type_ids")}
        self.real = batch["attention_mask"].bool()
        self.plain, self.merged = (model.embeddings(**self.inputs) for model in (plain, merged))
        self.bias = attention_bias(batch["attention_mask"], self.plain.dtype)


def _move_embeddings(state: Prepared, walk: Sequence[_Walk], merged: BertModel, strength: float) -> None:
    parts, stream = state.parts, state.maps.residual[EMBEDDINGS]
    for name in EMBEDDING_TABLES:
        table = merged.get_parameter(name)
        table += (strength * small_change(parts, name) @ state.maps.writes[EMBEDDINGS]).to(table)

    def made() -> list[Tensor]:
        return [merged.embeddings(**texts.inputs) for texts in walk]

    if parts.options.layernorm == "fit":
        change = strength * state.changes[EMBEDDING_NORM].double() @ stream.forward
        wanted = _real(walk, [texts.plain for texts in walk]) + change
        _refit_norm(merged.embeddings.LayerNorm, _real(walk, made()), wanted)
    for texts, embedded in zip(walk, made(), strict=True):
        texts.merged = embedded


def _move_block(
    state: Prepared, walk: Sequence[_Walk], blocks: tuple[Any, Any], pair: tuple[int, int], strength: float
) -> None:
    """Move the second of two equal blocks, layer by layer as inputs become known, and advance both states."""
    (m, g), (plain, merged) = pair, blocks
    before = _plain_pass(walk, plain)
    fit_norms = state.parts.options.layernorm == "fit"

    def refit(names: Sequence[str], inputs: Sequence[Tensor]) -> None:
        changes = [strength * state.changes[layer_prefix(m) + n].double() @ state.maps.exit(m, g, n) for n in names]
        linears = [merged.get_submodule(name) for name in names]
        read = before[names[0]][0]
        _refit_linears(linears, _real(walk, inputs), read, changes, state.parts.options.fit_ridge)

    def normed(name: str, sums: Sequence[Tensor]) -> list[Tensor]:
        norm = merged.get_submodule(name)
        if fit_norms:
            change = strength * state.changes[layer_prefix(m) + name].double()
            wanted = before[name][1] + change @ state.maps.residual[m, g, NORMS[name]].forward
            _refit_norm(norm, _real(walk, [norm(x) for x in sums]), wanted)
        return [norm(x) for x in sums]

    entering = [texts.merged for texts in walk]
    refit(ATTENTION_IN, entering)
    contexts = [merged.attention.self(x, texts.bias)[0] for x, texts in zip(entering, walk, strict=True)]
    refit(["attention.output.dense"], contexts)
    sums = [merged.attention.output.dense(c) + x for c, x in zip(contexts, entering, strict=True)]
    attended = normed("attention.output.LayerNorm", sums)
    refit(["intermediate.dense"], attended)
    widened = [merged.intermediate(x) for x in attended]
    refit(["output.dense"], widened)
    sums = [merged.output.dense(h) + x for h, x in zip(widened, attended, strict=True)]
    for texts, left in zip(walk, normed("output.LayerNorm", sums), strict=True):
        texts.merged = left


def _plain_pass(walk: Sequence[_Walk], block: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """Advance the untouched states through a block.

    Returns inputs and outputs [real tokens, units] of its linear layers and LayerNorms, by name.
    """
    with _watching(block, (*LINEAR_SPACES, *NORMS)) as seen:
        for texts in walk:
            texts.plain = block(texts.plain, texts.bias)
    return {n: (_real(walk, [x for x, _ in both]), _real(walk, [y for _, y in both])) for n, both in seen.items()}


def _real(walk: Sequence[_Walk], batches: Sequence[Tensor]) -> Tensor:
    """Concatenate padded tensors into [real tokens, units], in float64 on the CPU."""
    return torch.cat([x[texts.real] for x, texts in zip(batches, walk, strict=True)]).cpu().double()


def _refit_linears(
    linears: Sequence[nn.Linear], merged: Tensor, plain: Tensor, changes: Sequence[Tensor], ridge: float
) -> None:
    """Refit linear layers so that on inputs `merged` each gives its old output on `plain` plus its change."""
    came_in = merged - plain
    wanted = torch.cat([c - came_in @ x.weight.double().cpu().T for c, x in zip(changes, linears, strict=True)], dim=1)
    mean, centred = merged.mean(0), merged - merged.mean(0)
    centred *= centred.square().sum(0) > CONSTANT * merged.square().sum(0)
    cross = centred.T @ (wanted - wanted.mean(0))
    solution = affine.ridge_map(centred.T @ centred, cross, len(merged), ridge)  # [in, out of all]
    offset = wanted.mean(0) - mean @ solution
    sizes = [linear.out_features for linear in linears]
    for linear, weight, bias in zip(linears, solution.split(sizes, dim=1), offset.split(sizes), strict=True):
        linear.weight.add_(weight.T.to(linear.weight))
        linear.bias.add_(bias.to(linear.bias))


def _refit_norm(norm: nn.LayerNorm, made: Tensor, wanted: Tensor) -> None:
    """Refit a LayerNorm's gain and bias, unit by unit, so that its output `made` comes closest to `wanted`."""
    centred = made - made.mean(0)
    variance = centred.square().sum(0)
    varies = variance > CONSTANT * made.square().sum(0)
    slope = torch.where(varies, (centred * wanted).sum(0) / torch.where(varies, variance, 1.0), 1.0)
    gain, bias = norm.weight.double().cpu(), norm.bias.double().cpu()
    norm.weight.copy_(slope * gain)
    norm.bias.copy_(slope * (bias - made.mean(0)) + wanted.mean(0))


def _on(device: torch.device, texts: Iterable[Batch]) -> Iterator[Batch]:
    for batch in texts:
        yield {name: tensor.to(device) for name, tensor in batch.items()}


@torch.no_grad()
def _outputs(model: BertModel, batch: Batch) -> dict[str, Tensor]:
    """Outputs [real tokens, out] of every linear layer and LayerNorm, by name."""
    layers = range(len(model.encoder.layer))
    names = [EMBEDDING_NORM, *(layer_prefix(n) + module for n in layers for module in (*LINEAR_SPACES, *NORMS))]
    with _watching(model, names) as seen:
        model(**batch)
    real = batch["attention_mask"].bool()
    return {name: made[real] for name, ((_, made),) in seen.items()}


@contextmanager
def _watching(model: nn.Module, names: Iterable[str]) -> Iterator[dict[str, list[tuple[Tensor, Tensor]]]]:
    """Collect inputs and outputs of submodules, by name, in every pass until the block ends."""
    seen: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in names}
    with ExitStack() as stack:
        for name, found in seen.items():
            handle = model.get_submodule(name).register_forward_hook(
                lambda _, given, made, found=found: found.append((given[0], made))
            )
            stack.callback(handle.remove)
        yield seen
