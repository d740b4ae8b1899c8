"""Functional transport: the large model is moved by the small model's change in function, not in weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import BertModel

from graft.cost.flops import functional_flops
from graft.encoders import encoder_of
from graft.merging.alignment import affine, depth
from graft.merging.alignment.spaces import SpaceMaps, fit_spaces
from graft.merging.architecture import EMBEDDINGS, LINEAR_SPACES, RESIDUAL, STREAM, WORD_EMBEDDINGS, layer_prefix
from graft.merging.protocol import Cost, Parts, check_parts, small_change
from graft.shapes import Shape

# Linear layers of a block in the order in which they run; those of one stage read one input.
STAGES = (
    ("attention.self.query", "attention.self.key", "attention.self.value"),
    ("attention.output.dense",),
    ("intermediate.dense",),
    ("output.dense",),
)
Batch = Mapping[str, Tensor]


@dataclass(frozen=True)
class Prepared:
    """Maps, texts, and how the outputs of the small model's linear layers changed on them: [tokens, out_S] by name."""

    parts: Parts
    maps: SpaceMaps
    changes: Mapping[str, Tensor]


class Functional:
    """Closed form, without labels; `strength` scales the change of every linear layer's output.

    The large model is walked from its first layer to its last. With X the inputs of a linear layer in the untouched
    large model and X' those in the partly merged one, its outputs should be A = X W^T + strength (A_ft - A_0) P, P
    being the forward map of the layer's exit space. So dW = argmin |X' dW^T - (strength (A_ft - A_0) P - (X' - X)
    W^T)|^2 + ridge, with a change of the bias alike. Without the last term what came in from earlier layers would count
    twice.

    Each strength is a walk of its own, five forward passes over the texts. LayerNorms stay the large model's. Use it
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
        for batch in parts.texts:
            outputs = [dict(_outputs(model, batch)) for model in (before, after)]
            for name, output in outputs[1].items():
                changes.setdefault(name, []).append(output - outputs[0][name])
        return Prepared(parts, maps, {name: torch.cat(seen) for name, seen in changes.items()})

    @torch.no_grad()
    def apply(self, state: Prepared, strength: float) -> dict[str, Tensor]:
        """The merged body, after a walk through the large model."""
        parts = state.parts
        if strength == 0:
            return {name: tensor.clone() for name, tensor in parts.large.items()}
        plain, merged = (encoder_of(parts.large, parts.large_shape) for _ in range(2))
        if parts.options["embedding_delta"]:
            change = small_change(parts, WORD_EMBEDDINGS) @ state.maps.residual[EMBEDDINGS].forward
            table = merged.embeddings.word_embeddings.weight
            table += (strength * change).to(table)
        walk = [_Walk(plain, merged, batch) for batch in parts.texts]
        share = depth.shares(parts.depth_map)
        source = {g: m for m, g in parts.depth_map}
        for g in range(parts.large_shape.layers):
            if g in source:
                m = source[g]
                _move_block(state, walk, m, g, strength * share[m, g])
            for texts in walk:
                texts.step(g)
        dtypes = {name: tensor.dtype for name, tensor in parts.large.items()}
        return {name: tensor.to(dtypes[name]) for name, tensor in merged.state_dict().items()}

    def flops(self, small: Shape, large: Shape, options: Mapping[str, Any], tokens: int) -> Cost:
        """FLOPs of one `prepare` and of one `apply`."""
        pairs = depth.pairs(options["depth"], small.layers, large.layers)
        return Cost(*functional_flops(small, large, pairs, tokens))


class _Walk:
    """One batch on its way through the untouched and the partly merged large model."""

    def __init__(self, plain: BertModel, merged: BertModel, batch: Batch) -> None:
        self.models = plain, merged
        self.real = batch["attention_mask"].bool()
        ids, types = batch["input_ids"], batch["token_type_ids"]
        self.states = [model.embeddings(input_ids=ids, token_type_ids=types) for model in self.models]
        # 0 where attention may look, and the lowest number where there is padding.
        lowest = torch.finfo(self.states[0].dtype).min
        self.mask = (~self.real)[:, None, None, :].to(self.states[0].dtype) * lowest

    def inputs(self, layer: int, model: int, linear: str) -> Tensor:
        """Inputs [real tokens, in] of a linear layer of a block, in the untouched (0) or merged (1) model."""
        block = self.models[model].encoder.layer[layer]
        seen: list[Tensor] = []
        handle = block.get_submodule(linear).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        try:
            block(self.states[model], self.mask)
        finally:
            handle.remove()
        return seen[0][self.real]

    def step(self, layer: int) -> None:
        """Pass both models' block."""
        self.states = [
            model.encoder.layer[layer](state, self.mask) for model, state in zip(self.models, self.states, strict=True)
        ]


def _move_block(state: Prepared, walk: Sequence[_Walk], m: int, g: int, strength: float) -> None:
    for stage in STAGES:
        plain, merged = (torch.cat([texts.inputs(g, model, stage[0]) for texts in walk]).double() for model in (0, 1))
        mean = merged.mean(0)
        gram = (merged - mean).T @ (merged - mean)
        uncentred = merged.square().sum(0)
        for name in stage:
            linear = walk[0].models[1].get_submodule(layer_prefix(g) + name)
            exit_space = LINEAR_SPACES[name][1]
            maps = (
                state.maps.residual[m, g, STREAM[name]]
                if exit_space == RESIDUAL
                else state.maps.inner[m, g, exit_space]
            )
            wanted = strength * state.changes[layer_prefix(m) + name].double() @ maps.forward
            wanted -= (merged - plain) @ linear.weight.double().T
            centred = wanted - wanted.mean(0)
            solution = affine.ridge_map(
                gram, (merged - mean).T @ centred, len(merged), uncentred, state.parts.options["ridge"]
            )  # [in, out]
            linear.weight += solution.T.to(linear.weight)
            linear.bias += (wanted.mean(0) - mean @ solution).to(linear.bias)


def _outputs(model: BertModel, batch: Batch) -> Iterator[tuple[str, Tensor]]:
    """Outputs [real tokens, out] of every linear layer of every block, by name."""
    seen: dict[str, Tensor] = {}
    names = [layer_prefix(n) + linear for n in range(len(model.encoder.layer)) for linear in LINEAR_SPACES]
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
