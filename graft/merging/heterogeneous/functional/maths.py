"""Functional transport: the large model is moved by the small model's change in function, not in weights."""

import copy
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from graft.encoders.architecture import (
    ATTENTION_IN,
    BLOCK_OUT,
    EMBEDDING_NORM,
    EMBEDDINGS,
    GATE,
    layer_prefix,
    linears,
    norm_at,
    norms,
)
from graft.encoders.models import encoder_of
from graft.encoders.network import Bias, Encoder
from graft.encoders.spans import carried, read_by
from graft.flops.counts import GRAM_BLOCK, weights_first
from graft.io.progress import along
from graft.merging.alignment import affine
from graft.merging.alignment.spaces import Place, fit_spaces, relative_positions
from graft.merging.moments import CONSTANT
from graft.merging.protocol import Method, Parts, check_parts, shared_tables, small_change

# Linear layers that share one input.
ATTENTION = ("attention.self.query", "attention.self.key", "attention.self.value")
# Tokens at a time of which there are copies in float64.
AT_A_TIME = 2048
Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Paired:
    """Forward maps between the two pre-trained models, and the large one's states before each mapped layer, by batch.

    `exits`: by small layer, large layer and linear layer; `residual`: by place; `table`: of the embeddings' tables.
    """

    exits: Mapping[tuple[int, int, str], Tensor]
    residual: Mapping[Place, Tensor]
    table: Tensor
    missed: Mapping[str, float]
    entering: Mapping[int, Sequence[Tensor]]


@dataclass(frozen=True)
class Prepared:
    """The merge's inputs, maps, large model, and changes of the small model's linear and LayerNorm outputs, by name."""

    parts: Parts
    maps: Paired
    plain: Encoder
    changes: Mapping[str, Tensor]

    @property
    def diagnostics(self) -> Mapping[str, float]:
        return self.maps.missed


class Functional(Method):
    """Closed form, without labels; `strength` scales the change of every linear layer's output.

    The large model is walked from its first layer to its last. With X the inputs of a linear layer in the untouched
    large model and X' those in the partly merged one, its outputs should be A = X W^T + strength (A_ft - A_0) P, P
    being the forward map of the layer's exit space. So dW = argmin |X' dW^T - (strength (A_ft - A_0) P - (X' - X)
    W^T)|^2 + ridge, with a change of the bias alike. Without the last term what came in from earlier layers would count
    twice.

    LayerNorms are refitted unit by unit (`layernorm`: fit or leave); embeddings move as in spacewise, if asked to
    (`embedding_delta`). Queries and keys are fitted to contents: where they project embeddings of relative positions
    too, as in DeBERTa, what fine-tuning changed in these is met nearly, not exactly. Each strength is a separate walk,
    many forward passes over the texts. Use it where a change in function is small in weights of the small model but not
    of the large one; it costs more than spacewise and needs the texts again.
    Source: ours.
    """

    @torch.no_grad()
    def fit_maps(self, parts: Parts) -> Paired:
        """Fit the maps, and run the large model over the texts."""
        check_parts(parts)
        if parts.moments is None or not parts.texts:
            raise ValueError("functional transport needs the moments of a calibration and texts; calibrate this pair")
        spaces = fit_spaces(parts, affine.fit("least_squares", parts.options.map_ridge))
        plain, mapped = encoder_of(parts.large, parts.large_shape), {g for _, g in parts.depth_map}
        biases = _biases(plain, parts.texts)
        states, entering = _embedded(plain.embeddings, parts.texts), {}
        for g, block in enumerate(plain.encoder.layer):
            if g in mapped:
                entering[g] = states
            if g < len(plain.encoder.layer) - 1:
                states = [block(x, bias) for x, bias in zip(states, biases, strict=True)]
        common = linears(parts.small_shape, parts.large_shape)
        exits = {(m, g, name): spaces.exit(m, g, name) for m, g in parts.depth_map for name in common}
        residual = {place: maps.forward for place, maps in spaces.residual.items()}
        return Paired(exits, residual, spaces.writes[EMBEDDINGS], spaces.missed, entering)

    def prepare(self, parts: Parts, maps: Paired | None = None) -> Prepared:
        """Compute how fine-tuning changed the small model's layer outputs on the texts."""
        check_parts(parts)
        maps = maps or self.fit_maps(parts)
        before = encoder_of(parts.small_pretrained, parts.small_shape)
        after = encoder_of(parts.small_finetuned, parts.small_shape)
        changes: dict[str, Tensor] = {}
        count, done = sum(int(batch["attention_mask"].sum()) for batch in parts.texts), 0
        for batch in along(parts.texts, parts.report, "batches read by the small models"):
            was, now = (_outputs(model, batch) for model in (before, after))
            for name, output in now.items():
                if name not in changes:
                    changes[name] = output.new_empty(count, output.shape[1])
                torch.sub(output, was[name], out=changes[name][done : done + len(output)])
            done += len(output)
        plain = encoder_of(parts.large, parts.large_shape)
        # The moments have done their work.
        return Prepared(replace(parts, moments=None), maps, plain, changes)

    @torch.no_grad()
    def apply(self, state: Prepared, strength: float) -> dict[str, Tensor]:
        """Walk through the large model layer by layer, and return the merged body."""
        parts, plain = state.parts, state.plain
        if strength == 0:
            return dict(parts.large)
        embeddings, positions = copy.deepcopy(plain.embeddings), {}
        if parts.options.embedding_delta:
            _move_embeddings(state, embeddings, strength)
            changes = relative_positions(parts, state.maps.residual[EMBEDDINGS], parts.options.layernorm == "fit")
            positions = {n: (parts.large[n].double() + strength * t).to(parts.large[n]) for n, t in changes.items()}
        biases = _biases(encoder_of({**parts.large, **positions}, parts.large_shape), parts.texts)
        states = _embedded(embeddings, parts.texts)
        moved: dict[str, nn.Module] = {"embeddings.": embeddings}
        source = {g: m for m, g in parts.depth_map}
        for g, block in enumerate(along(plain.encoder.layer, parts.report, "layers moved")):
            if g in source:
                block = moved[layer_prefix(g)] = copy.deepcopy(block)
                states = _move_block(state, states, biases, block, (source[g], g), strength)
            else:
                states = [block(x, bias) for x, bias in zip(states, biases, strict=True)]
        found = {prefix + name: tensor for prefix, one in moved.items() for name, tensor in one.state_dict().items()}
        return {**parts.large, **positions, **found}


def _biases(model: Encoder, texts: Sequence[Batch]) -> list[Bias]:
    """Masks and positions for attention, for each batch."""
    return [model.encoder.bias(batch["attention_mask"], model.dtype) for batch in texts]


def _embedded(embeddings: nn.Module, texts: Sequence[Batch]) -> list[Tensor]:
    return [embeddings(batch["input_ids"], batch["token_type_ids"]) for batch in texts]


def _move_embeddings(state: Prepared, embeddings: nn.Module, strength: float) -> None:
    parts, maps = state.parts, state.maps
    plain = _real(parts, _embedded(embeddings, parts.texts))
    for name in shared_tables(parts):
        table = embeddings.get_parameter(name.removeprefix("embeddings."))
        table.add_((strength * small_change(parts, name) @ maps.table).to(table))
    if parts.options.layernorm == "fit":
        change = state.changes[EMBEDDING_NORM].double() @ maps.residual[EMBEDDINGS]
        made = _real(parts, _embedded(embeddings, parts.texts))
        _refit_norm(embeddings.get_submodule("LayerNorm"), made, plain, strength * change)


def _move_block(
    state: Prepared,
    entering: Sequence[Tensor],
    biases: Sequence[Bias],
    block: Any,
    pair: tuple[int, int],
    strength: float,
) -> list[Tensor]:
    """Move a block, layer by layer as its inputs become known; returns the states that leave it."""
    (m, g), parts, maps = pair, state.parts, state.maps
    prenorm, own = parts.large_shape.kind.prenorm, norms(parts.large_shape, g)
    # Of the untouched model: inputs of linear layers, outputs of LayerNorms.
    before: dict[str, list[Tensor]] = {}
    for x, bias in zip(state.maps.entering[g], _biases(state.plain, parts.texts), strict=True):
        read = block.attention.LayerNorm(x) if prenorm else x
        context = block.attention.self(read, bias)
        summed = block.attention.output.summed(context, x)
        attended = block.attention.output.LayerNorm(summed)
        widened = block.intermediate(attended)
        made = block.output(widened, summed if prenorm else attended)
        seen = {ATTENTION[0]: read, "attention.output.dense": context}
        seen |= {"intermediate.dense": attended, "output.dense": widened}
        sites = {ATTENTION_IN: read, "intermediate.in": attended, BLOCK_OUT: made}
        for name, tensor in (seen | {norm: sites[site] for norm, site in own.items()}).items():
            before.setdefault(name, []).append(tensor)

    def refit(names: Sequence[str], inputs: Sequence[Tensor]) -> None:
        linears = [block.get_submodule(name) for name in names]
        changes = [state.changes[layer_prefix(m) + name] for name in names]
        exits = [strength * maps.exits[m, g, name] for name in names]
        reads = _real(parts, inputs), _real(parts, before.pop(names[0]))
        _refit_linears(linears, *reads, changes, exits, parts.options.fit_ridge)

    def normed(name: str, sums: Sequence[Tensor]) -> list[Tensor]:
        if name not in own:  # before the first layer, or where states stay as they are
            return list(sums)
        norm, wanted, site = block.get_submodule(name), before.pop(name), own[name]
        if parts.options.layernorm == "fit":
            change = state.changes[norm_at(parts.small_shape, m, site)].double() @ maps.residual[m, g, site]
            made = _real(parts, [norm(x) for x in sums])
            _refit_norm(norm, made, _real(parts, wanted), strength * change)
        return [norm(x) for x in sums]

    reading = normed("attention.LayerNorm", entering)
    refit(ATTENTION, reading)
    contexts = [block.attention.self(x, bias) for x, bias in zip(reading, biases, strict=True)]
    refit(["attention.output.dense"], contexts)
    sums = [block.attention.output.summed(c, x) for c, x in zip(contexts, entering, strict=True)]
    moved = normed("attention.output.LayerNorm", sums)
    gate = [GATE] if GATE in linears(parts.small_shape, parts.large_shape) else []
    refit(["intermediate.dense", *gate], moved)
    inner = [block.intermediate(x) for x in moved]
    refit(["output.dense"], inner)
    stream = sums if prenorm else moved
    return normed("output.LayerNorm", [block.output.summed(h, x) for h, x in zip(inner, stream, strict=True)])


def _real(parts: Parts, batches: Sequence[Tensor]) -> Tensor:
    """Concatenate padded tensors into [real tokens, units]."""
    masks = (batch["attention_mask"].bool() for batch in parts.texts)
    return torch.cat([x[mask] for x, mask in zip(batches, masks, strict=True)])


def _refit_linears(
    linears: Sequence[nn.Linear],
    merged: Tensor,
    plain: Tensor,
    changes: Sequence[Tensor],
    exits: Sequence[Tensor],
    ridge: float,
) -> None:
    """Refit linear layers so that on inputs `merged` each gives its old output on `plain` plus its change, mapped.

    Products with the inputs are summed before anything is mapped, since the small model's outputs are narrower.
    """
    count, into = merged.shape
    biased = linears[0].bias is not None
    weight = torch.cat([linear.weight for linear in linears]).double()
    narrow = weights_first(into, len(weight))
    # Without a bias, nothing can make up for a mean that is left out.
    mean = merged.sum(0, dtype=torch.float64) / count * biased
    columns = (len(weight) if narrow else into), *(change.shape[1] for change in changes)
    gram = mean.new_zeros(into, into)
    # Products of the centred inputs with what came in and with the changes; the last row has the means of those.
    cross = mean.new_zeros(into + 1, sum(columns))
    for now, once, *moved in zip(*(x.split(AT_A_TIME) for x in (merged, plain, *changes)), strict=True):
        now = now.double()
        came_in = now - once.double()
        seen = torch.cat([came_in @ weight.T if narrow else came_in, *(change.double() for change in moved)], dim=1)
        centred = now - mean
        for start in range(0, into, GRAM_BLOCK):
            end = start + GRAM_BLOCK
            gram[start:, start:end].addmm_(centred[:, start:].T, centred[:, start:end])
        cross[:-1].addmm_(centred.T, seen)
        cross[-1] += seen.sum(0) / count
    pushed, *mapped = cross.split(columns, dim=1)
    wanted = torch.cat([one @ exit for one, exit in zip(mapped, exits, strict=True)], dim=1)
    wanted -= pushed if narrow else pushed @ weight.T
    variance = gram.diagonal()
    varies = variance > CONSTANT * (variance + count * mean.square())
    solution = affine.ridge_map(gram.mul_(torch.outer(varies, varies)), wanted[:-1] * varies[:, None], count, ridge)
    offset = wanted[-1] - mean @ solution
    sizes = [linear.out_features for linear in linears]
    for linear, more, bias in zip(linears, solution.split(sizes, dim=1), offset.split(sizes), strict=True):
        linear.weight.add_(more.T.to(linear.weight))
        if biased:
            linear.bias.add_(bias.to(linear.bias))


def _refit_norm(norm: nn.Module, made: Tensor, plain: Tensor, change: Tensor) -> None:
    """Refit a LayerNorm's gain and bias, unit by unit, so that its output `made` comes close to `plain` + `change`."""
    made, wanted, bias = made.double(), change.add_(plain), dict(norm.named_parameters()).get("bias")
    centred = made - made.mean(0) if bias is not None else made
    variance = centred.square().sum(0)
    varies = variance > CONSTANT * made.square().sum(0)
    slope = torch.where(varies, (centred * wanted).sum(0) / torch.where(varies, variance, 1.0), 1.0)
    weight = norm.get_parameter("weight")
    weight.copy_(slope * weight.double())
    if bias is None:
        return
    shift = bias.double()
    bias.copy_(slope * (shift - made.mean(0)) + wanted.mean(0))


@torch.no_grad()
def _outputs(model: Encoder, batch: Batch) -> dict[str, Tensor]:
    """Outputs of a small model's linear layers and LayerNorms at the large one's tokens [real tokens, out], by name."""
    shape, own = model.shape, read_by("small", batch)
    inside = [(n, module) for n in range(shape.layers) for module in (*linears(shape), *norms(shape, n))]
    names = [EMBEDDING_NORM, *(layer_prefix(n) + module for n, module in inside)]
    real, seen = batch["attention_mask"].bool(), {}
    with ExitStack() as stack:
        for name in names:

            def keep(_: nn.Module, given: Any, made: Tensor, name: str = name) -> None:
                if made.shape[:2] == own["input_ids"].shape:  # some attention projects positions too
                    seen[name] = carried("large", made, batch)[real]

            stack.callback(model.get_submodule(name).register_forward_hook(keep).remove)
        model(**own)
    return seen
