"""Functional transport: the large model is moved by the small model's change in function, not in weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertModel

from graft.cost.flops import functional_flops
from graft.encoders import encoder_of
from graft.merging.alignment import affine, depth
from graft.merging.alignment.spaces import SpaceMaps, fit_spaces
from graft.merging.architecture import (
    EMBEDDING_NORM,
    EMBEDDING_TABLES,
    EMBEDDINGS,
    LINEAR_SPACES,
    NORMS,
    layer_prefix,
)
from graft.merging.moments import CONSTANT
from graft.merging.protocol import Cost, Parts, check_parts, small_change
from graft.shapes import Shape

# Linear layers of a block in the order in which they run; those of one stage read one input.
STAGES = (
    ("attention.self.query", "attention.self.key", "attention.self.value"),
    ("attention.output.dense",),
    ("intermediate.dense",),
    ("output.dense",),
)
NORM_BEHIND = {"attention.output.dense": "attention.output.LayerNorm", "output.dense": "output.LayerNorm"}
Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Prepared:
    """Maps, texts, and how the outputs of the small model's linear layers and LayerNorms changed on them, by name."""

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
    (`embedding_delta`). Each strength is a walk of its own, many forward passes over the texts. Use it
    where a change in function is small in weights of the small model but not of the large one; it costs more than
    spacewise and needs the texts again.
    Source: ours.
    """

    def prepare(self, parts: Parts) -> Prepared:
        """What the small model's fine-tuning did to its linear layers' outputs on the texts."""
        check_parts(parts)
        if parts.statistics is None or not parts.texts:
            raise ValueError(
                "functional transport needs the statistics of a calibration and texts; calibrate this pair"
            )
        maps = fit_spaces(parts, affine.fit("least_squares", parts.options["map_ridge"]))
        before = encoder_of(parts.small_pretrained, parts.small_shape)
        after = encoder_of(parts.small_finetuned, parts.small_shape)
        changes: dict[str, list[Tensor]] = {}
        for batch in _on(before.device, parts.texts):
            outputs = [dict(_outputs(model, batch)) for model in (before, after)]
            for name, output in outputs[1].items():
                changes.setdefault(name, []).append((output - outputs[0][name]).cpu())
        return Prepared(parts, maps, {name: torch.cat(seen) for name, seen in changes.items()})

    @torch.no_grad()
    def apply(self, state: Prepared, strength: float) -> dict[str, Tensor]:
        """The merged body, after a walk through the large model."""
        parts = state.parts
        if strength == 0:
            return {name: tensor.clone() for name, tensor in parts.large.items()}
        plain, merged = (encoder_of(parts.large, parts.large_shape) for _ in range(2))
        walk = [_Walk(plain, merged, batch) for batch in _on(plain.device, parts.texts)]
        if parts.options["embedding_delta"]:
            stream = state.maps.residual[EMBEDDINGS]
            for name in EMBEDDING_TABLES:
                table = merged.get_parameter(name)
                table += (strength * small_change(parts, name) @ state.maps.writes[EMBEDDINGS]).to(table)
            if parts.options["layernorm"] == "fit":
                plain_out, made = (_seen(walk, model, -1, [EMBEDDING_NORM])[EMBEDDING_NORM][1] for model in (0, 1))
                change = strength * state.changes[EMBEDDING_NORM].double() @ stream.forward
                _refit_norm(merged.get_submodule(EMBEDDING_NORM), made.double(), plain_out.double() + change)
            for texts in walk:
                texts.embed()
        source = {g: m for m, g in parts.depth_map}
        for g in range(parts.large_shape.layers):
            if g in source:
                m = source[g]
                _move_block(state, walk, m, g, strength)
            for texts in walk:
                texts.step(g)
        dtypes = {name: tensor.dtype for name, tensor in parts.large.items()}
        return {name: tensor.to(dtypes[name]) for name, tensor in merged.state_dict().items()}

    def flops(self, small: Shape, large: Shape, options: Mapping[str, Any], tokens: int) -> Cost:
        """FLOPs of one `prepare` and of one `apply`."""
        pairs = depth.pairs(options["depth"], small.layers, large.layers)
        small = depth.as_deep(options["depth"], small, large)
        moved = {"norms": options["layernorm"] == "fit", "embeddings": options["embedding_delta"]}
        return Cost(*functional_flops(small, large, pairs, tokens, **moved))


class _Walk:
    """One batch on its way through the untouched (0) and the partly merged (1) large model."""

    def __init__(self, plain: BertModel, merged: BertModel, batch: Batch) -> None:
        self.models = plain, merged
        self.batch = batch
        self.real = batch["attention_mask"].bool()
        self.embed()
        # 0 where attention may look, and the lowest number where there is padding.
        lowest = torch.finfo(self.states[0].dtype).min
        self.mask = (~self.real)[:, None, None, :].to(self.states[0].dtype) * lowest

    def embed(self) -> None:
        """Go back to the start."""
        inputs = {name: self.batch[name] for name in ("input_ids", "token_type_ids")}
        self.states = [model.embeddings(**inputs) for model in self.models]

    def step(self, layer: int) -> None:
        """Pass both models' block."""
        self.states = [
            model.encoder.layer[layer](state, self.mask) for model, state in zip(self.models, self.states, strict=True)
        ]

    def seen(self, model: int, layer: int, modules: Sequence[str]) -> dict[str, tuple[Tensor, Tensor]]:
        """Inputs and outputs [real tokens, units] of modules of a block; at layer -1, of the embeddings' LayerNorm."""
        found: dict[str, tuple[Tensor, Tensor]] = {}
        handles = [
            self.models[model]
            .get_submodule(name)
            .register_forward_hook(lambda _, given, made, name=name: found.update({name: (given[0], made)}))
            for name in modules
        ]
        try:
            if layer < 0:
                self.embed()
            else:
                self.models[model].encoder.layer[layer](self.states[model], self.mask)
        finally:
            for handle in handles:
                handle.remove()
        return {name: (given[self.real], made[self.real]) for name, (given, made) in found.items()}


def _seen(walk: Sequence[_Walk], model: int, layer: int, modules: Sequence[str]) -> dict[str, tuple[Tensor, Tensor]]:
    """Inputs and outputs of modules over all texts."""
    found = [texts.seen(model, layer, modules) for texts in walk]
    return {
        name: tuple(torch.cat(both).cpu() for both in zip(*(f[name] for f in found), strict=True)) for name in modules
    }


def _move_block(state: Prepared, walk: Sequence[_Walk], m: int, g: int, strength: float) -> None:
    small, large = layer_prefix(m), layer_prefix(g)
    plain = _seen(walk, 0, g, [large + module for module in (*LINEAR_SPACES, *NORMS)])
    for stage in STAGES:
        inputs = _seen(walk, 1, g, [large + stage[0]])[large + stage[0]][0].double()
        for name in stage:
            change = strength * state.changes[small + name].double() @ state.maps.exit(m, g, name)
            linear = walk[0].models[1].get_submodule(large + name)
            _refit_linear(linear, inputs, plain[large + name][0].double(), change, state.parts.options["fit_ridge"])
        norm = NORM_BEHIND.get(stage[0])
        if norm and state.parts.options["layernorm"] == "fit":
            change = strength * state.changes[small + norm].double() @ state.maps.residual[m, g, NORMS[norm]].forward
            merged = _seen(walk, 1, g, [large + norm])[large + norm][1].double()
            wanted = plain[large + norm][1].double() + change
            _refit_norm(walk[0].models[1].get_submodule(large + norm), merged, wanted)


def _refit_linear(linear: nn.Linear, merged: Tensor, plain: Tensor, change: Tensor, ridge: float) -> None:
    """Move a linear layer so that on inputs `merged` it makes what it made of `plain`, and the change."""
    wanted = change - (merged - plain) @ linear.weight.double().cpu().T
    mean, centred = merged.mean(0), merged - merged.mean(0)
    centred = centred * (centred.square().sum(0) > CONSTANT * merged.square().sum(0))
    cross = centred.T @ (wanted - wanted.mean(0))
    solution = affine.ridge_map(centred.T @ centred, cross, len(merged), ridge)  # [in, out]
    linear.weight += solution.T.to(linear.weight)
    linear.bias += (wanted.mean(0) - mean @ solution).to(linear.bias)


def _refit_norm(norm: nn.LayerNorm, made: Tensor, wanted: Tensor) -> None:
    """Move a LayerNorm's gain and bias, unit by unit, so that what it `made` comes closest to what is wanted."""
    centred = made - made.mean(0)
    variance = centred.square().sum(0)
    varies = variance > CONSTANT * made.square().sum(0)
    slope = torch.where(varies, (centred * wanted).sum(0) / torch.where(varies, variance, 1.0), 1.0)
    gain, bias = norm.weight.double().cpu(), norm.bias.double().cpu()
    norm.weight.copy_(slope * gain)
    norm.bias.copy_(slope * (bias - made.mean(0)) + wanted.mean(0))


def _on(device: torch.device, texts: Sequence[Batch]) -> Iterator[Batch]:
    for batch in texts:
        yield {name: tensor.to(device) for name, tensor in batch.items()}


def _outputs(model: BertModel, batch: Batch) -> Iterator[tuple[str, Tensor]]:
    """Outputs [real tokens, out] of every linear layer and LayerNorm, by name."""
    seen: dict[str, Tensor] = {}
    layers = range(len(model.encoder.layer))
    names = [EMBEDDING_NORM, *(layer_prefix(n) + module for n in layers for module in (*LINEAR_SPACES, *NORMS))]
    handles = [
        model.get_submodule(name).register_forward_hook(lambda _, __, output, name=name: seen.update({name: output}))
        for name in names
    ]
    try:
        with torch.no_grad():
            model(**batch)
    finally:
        for handle in handles:
            handle.remove()
    real = batch["attention_mask"].bool()
    yield from ((name, seen[name][real]) for name in names)
