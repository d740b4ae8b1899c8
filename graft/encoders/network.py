"""The network of every encoder, whatever its family, with BERT's names for its modules and tensors.

One network serves all families, since they differ in little that is computed: what does differ is in
`graft.registry.families`, and `graft.encoders.tensor_names` translates names. In eval mode and in training, it computes
what the family's model in transformers computes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeVar
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput

from graft.encoders.architecture import ACTIVATIONS
from graft.encoders.packing import Layout
from graft.encoders.states import pool
from graft.registry.shapes import Shape

# On a CPU plain matrix products are faster than torch's fused attention (benchmarks/attention.py).
ATTENTION_ON = {"cpu": "eager", "cuda": "sdpa"}
ATTENTION = ATTENTION_ON["cuda" if torch.cuda.is_available() else "cpu"]
# A kind of network.
Kind = TypeVar("Kind", bound=nn.Module)
# Distance from which all relative positions share one bucket.
FARTHEST = 128


@dataclass(frozen=True)
class Turns:
    """Rotary positions. biases: what is added to scores of global layers and of local ones; turns: cosines and sines
    [t, d] of each."""

    biases: tuple[Tensor, Tensor]
    turns: tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Relatives:
    """Relative positions. bias: what is added to scores; table [rows, w]: their embeddings; places [t, t]: the row for
    each query and key, the key's own view of the query being the transposed one."""

    bias: Tensor
    table: Tensor
    places: Tensor


# What attention's scores depend on besides states: a tensor that is added to them, or positions too.
Bias = Tensor | Turns | Relatives


class Encoder(nn.Module):
    """Embeddings, layers and pooler. `config` is transformers' for a model of the family."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.config, self.shape = config, Shape.from_config(config.to_dict())
        hidden, attention, _ = _dropouts(config, self.shape)
        self.embeddings = Embeddings(self.shape, hidden, config.pad_token_id)
        self.encoder = Layers(self.shape, hidden, attention)
        self.pooler: Any = Pooler(self.shape)  # or None, where no one reads what it returns

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        layout: Layout | None = None,
        output_hidden_states: bool = False,
    ) -> BaseModelOutputWithPooling:
        """Run over texts [b, t], or over texts packed into one row, of which only what the pooler reads comes out."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        state = self.embeddings(input_ids, token_type_ids, position_ids)
        bias = self.encoder.bias(layout.mask if layout else mask, state.dtype)
        states = [state]
        # If a classifier reads only first tokens, the others are dropped after the last layer's attention.
        firsts = layout.firsts if layout and self.shape.pooling == "cls" else None
        for number, layer in enumerate(self.encoder.layer, start=1):
            state = layer(state, bias, layout, firsts if number == self.shape.layers else None)
            if output_hidden_states:
                states.append(state)
        if layout:
            state = layout.means(state) if firsts is None else state.transpose(0, 1)
        return BaseModelOutputWithPooling(
            last_hidden_state=state,
            pooler_output=None if self.pooler is None else self.pooler(state, None if layout else attention_mask),
            hidden_states=tuple(states) if output_hidden_states else None,
        )

    @property
    def device(self) -> torch.device:
        return self.embeddings.word_embeddings.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.embeddings.word_embeddings.weight.dtype


class Classifier(nn.Module):
    """An encoder, and a linear layer on what its pooler returns."""

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.config, self.num_labels = config, config.num_labels
        self.bert = Encoder(config)
        self.dropout = nn.Dropout(_dropouts(config, self.bert.shape)[2])
        if self.bert.shape.kind.head.input_dropout:
            self.bert.pooler.dropout = self.dropout
        self.classifier = nn.Linear(self.bert.shape.width, self.num_labels)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, *, labels: Tensor | None = None, **inputs: Any
    ) -> SequenceClassifierOutput:
        """Logits [b, c], and the mean loss if `labels` [b] are given: cross-entropy, or squared error of a score."""
        pooled = self.bert(input_ids, attention_mask, **inputs).pooler_output
        logits = self.classifier(self.dropout(pooled))
        if labels is None:
            return SequenceClassifierOutput(logits=logits)
        scored = self.num_labels == 1
        loss = functional.mse_loss(logits.squeeze(), labels) if scored else functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    @property
    def shape(self) -> Shape:
        return self.bert.shape

    @property
    def device(self) -> torch.device:
        return self.bert.device

    @property
    def dtype(self) -> torch.dtype:
        return self.bert.dtype


class Embeddings(nn.Module):
    """The sum of a token's embeddings, normalised."""

    def __init__(self, shape: Shape, dropout: float, pad: int | None) -> None:
        super().__init__()
        known = pad if pad is not None and pad < shape.vocabulary else None
        self.word_embeddings = nn.Embedding(shape.vocabulary, shape.width, padding_idx=known)
        if shape.position_rows:
            self.position_embeddings = nn.Embedding(shape.position_rows, shape.width)
        if shape.types:
            self.token_type_embeddings = nn.Embedding(shape.types, shape.width)
        self.LayerNorm = _norm(shape)
        self.dropout = nn.Dropout(dropout)
        self.types, self.positions = shape.types, shape.position_rows

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor | None = None, position_ids: Tensor | None = None
    ) -> Tensor:
        """Embed texts [b, t]; positions count from 0."""
        state = self.word_embeddings(input_ids)
        if self.types:
            # A model that knows one type is given that one, whatever the tokenizer says.
            typed = token_type_ids is not None and self.types > 1
            state = state + self.token_type_embeddings(token_type_ids if typed else torch.zeros_like(input_ids))
        if self.positions:
            if position_ids is None:
                position_ids = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
            state = state + self.position_embeddings(position_ids)
        return self.dropout(self.LayerNorm(state))


class Layers(nn.Module):
    """All layers, and what their attention shares."""

    layer: Any  # a list of Layer, which torch takes for modules of any kind

    def __init__(self, shape: Shape, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        kind = Prenormed if shape.kind.prenorm else Layer
        self.shape = shape
        self.layer = nn.ModuleList(kind(shape, dropout, attention_dropout, n) for n in range(shape.layers))
        if shape.kind.buckets:
            self.relative_attention_bias = nn.Embedding(shape.kind.buckets, shape.heads)
        if shape.kind.disentangled:
            self.rel_embeddings = nn.Embedding(shape.relative_rows, shape.width)
            self.LayerNorm = _norm(shape)

    def bias(self, mask: Tensor, dtype: torch.dtype) -> Bias:
        """Return what attention's scores of texts with a mask [b, t] depend on besides states.

        A tensor [b, 1, 1, t] or [b, heads, t, t] is added to them.
        """
        bias, kind = attention_bias(mask, dtype), self.shape.kind
        if kind.rotary:
            return turns(mask, self.shape, dtype)
        if kind.disentangled:
            table = self.LayerNorm(self.rel_embeddings.weight)
            return Relatives(bias, table, relative_places(mask.shape[1], self.shape, mask.device))
        if not kind.buckets:
            return bias
        table = self.relative_attention_bias
        buckets = bucket(mask.shape[1], table.num_embeddings, mask.device)
        return table(buckets).permute(2, 0, 1)[None] + bias


class Layer(nn.Module):
    """Attention and feed-forward, each added to the states and then normalised."""

    def __init__(self, shape: Shape, dropout: float, attention_dropout: float, number: int) -> None:
        super().__init__()
        self.attention = Attention(shape, dropout, attention_dropout, number)
        self.intermediate = Gated(shape) if shape.kind.gated else Intermediate(shape)
        self.output = Added(shape.ffn, shape, dropout)

    def forward(self, states: Tensor, bias: Bias, layout: Layout | None = None, kept: Tensor | None = None) -> Tensor:
        """Map states [b, t, w], or only those of the tokens `kept`; `bias`: as Layers returns it."""
        attended = self.attention(states, bias, layout, kept)
        return self.output(self.intermediate(attended), attended)


class Prenormed(Layer):
    """Attention and feed-forward, which read normalised copies of the states, added to the states as they are.

    The embeddings are normalised before the first layer. The last one normalises its states, which nothing else does.
    """

    def __init__(self, shape: Shape, dropout: float, attention_dropout: float, number: int) -> None:
        super().__init__(shape, dropout, attention_dropout, number)
        self.attention.LayerNorm = nn.Identity() if number == 0 else _norm(shape)
        if number < shape.layers - 1:
            self.output.LayerNorm = nn.Identity()

    def forward(self, states: Tensor, bias: Bias, layout: Layout | None = None, kept: Tensor | None = None) -> Tensor:
        """Map states [b, t, w], or only those of the tokens `kept`; `bias`: as Layers returns it."""
        context = self.attention.self(self.attention.LayerNorm(states), bias, layout)
        context, states = _kept(context, states, kept)
        states = self.attention.output.summed(context, states)
        inner = self.intermediate(self.attention.output.LayerNorm(states))
        return self.output(inner, states)


class Attention(nn.Module):
    """Multi-head attention, added to the states and normalised."""

    LayerNorm: nn.Module  # before it, where a layer has one

    def __init__(self, shape: Shape, dropout: float, attention_dropout: float, number: int) -> None:
        super().__init__()
        kind = shape.kind
        attention = Rotary if kind.rotary else Disentangled if kind.disentangled else SelfAttention
        self.self = attention(shape, attention_dropout, dropout, number)
        self.output = Added(shape.width, shape, dropout if shape.kind.drops_attended else 0.0)

    def forward(self, states: Tensor, bias: Bias, layout: Layout | None = None, kept: Tensor | None = None) -> Tensor:
        """Map states [b, t, w], or only those of the tokens `kept`."""
        return self.output(*_kept(self.self(states, bias, layout), states, kept))


class SelfAttention(nn.Module):
    """Queries, keys and values, and what attention makes of them. `kind`: "eager", or "sdpa", torch's fused one."""

    def __init__(self, shape: Shape, dropout: float, hidden_dropout: float, number: int) -> None:
        super().__init__()
        self.query = nn.Linear(shape.width, shape.width, bias=shape.kind.biased)
        self.key = nn.Linear(shape.width, shape.width, bias=shape.kind.biased)
        self.value = nn.Linear(shape.width, shape.width, bias=shape.kind.biased)
        self.heads, self.size = shape.heads, shape.width // shape.heads
        self.dropout, self.kind = nn.Dropout(dropout), ATTENTION

    def forward(self, states: Tensor, bias: Bias, layout: Layout | None = None) -> Tensor:
        """Contexts [b, t, w] for states [b, t, w]; `bias`: as Layers returns it."""
        rows = (*states.shape[:-1], self.heads, self.size)
        query, key, value = (linear(states).view(rows) for linear in (self.query, self.key, self.value))
        if layout:
            query, key, value = map(layout.spread, (query, key, value))
        else:
            query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        context = self.attend(query, key, value, bias)
        return (layout.gathered(context) if layout else context.transpose(1, 2)).reshape(states.shape)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Any) -> Tensor:
        """Contexts [b, h, t, d] of queries, keys and values [b, h, t, d]."""
        scale = self.size**-0.5
        if self.kind == "sdpa":
            return self.fused(query, key, value, bias, scale)
        return self.weighed(torch.matmul(query, key.transpose(2, 3)) * scale + bias, value)

    def fused(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor, scale: float) -> Tensor:
        """Contexts of torch's fused attention."""
        dropout = self.dropout.p if self.training else 0.0
        return functional.scaled_dot_product_attention(query, key, value, bias, dropout, scale=scale)

    def weighed(self, scores: Tensor, value: Tensor) -> Tensor:
        """Contexts for scores [b, h, t, t]."""
        weights = functional.softmax(scores, dim=-1)
        return torch.matmul(functional.dropout(weights, self.dropout.p, self.training), value)


class Rotary(SelfAttention):
    """Attention of queries and keys that are turned by their positions; a local layer attends to a window.

    Source: RoPE (Su et al. 2021, arXiv 2104.09864), in which unit n of a head is paired with unit n + d / 2.
    """

    def __init__(self, shape: Shape, dropout: float, hidden_dropout: float, number: int) -> None:
        super().__init__(shape, dropout, hidden_dropout, number)
        self.local = shape.is_local(number)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Turns) -> Tensor:
        """Contexts [b, h, t, d] of queries, keys and values [b, h, t, d]."""
        cosines, sines = bias.turns[self.local]

        def turned(rows: Tensor) -> Tensor:
            first, second = rows.chunk(2, dim=-1)
            return (rows * cosines + torch.cat([-second, first], dim=-1) * sines).to(rows.dtype)

        return super().attend(turned(query), turned(key), value, bias.biases[self.local])


class Disentangled(SelfAttention):
    """Attention whose scores compare contents, queries with positions of keys, and keys with positions of queries.

    Source: He et al. 2020, arXiv 2006.03654, equations 2 to 4, with the projections of contents for positions too.
    """

    def __init__(self, shape: Shape, dropout: float, hidden_dropout: float, number: int) -> None:
        super().__init__(shape, dropout, hidden_dropout, number)
        self.position_dropout = nn.Dropout(hidden_dropout)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Relatives) -> Tensor:
        """Contexts [b, h, t, d] of queries, keys and values [b, h, t, d]."""
        scale = math.sqrt(3 * self.size)
        contents = None if self.kind == "sdpa" else torch.matmul(query, key.transpose(2, 3) / scale)
        table = self.position_dropout(bias.table)
        # [h, d, rows] of positions.
        as_query, as_key = (
            linear(table).view(-1, self.heads, self.size).permute(1, 2, 0) for linear in (self.query, self.key)
        )
        places = bias.places.expand(*query.shape[:2], -1, -1)
        positions = torch.matmul(query, as_key).gather(-1, places) / scale
        seen_by_keys = torch.matmul(key, as_query).gather(-1, places.transpose(2, 3)).transpose(2, 3)
        positions = positions + seen_by_keys / scale
        if contents is None:
            return self.fused(query, key, value, positions + bias.bias, 1 / scale)
        return self.weighed(contents + positions + bias.bias, value)


class Intermediate(nn.Module):
    """Feed-forward units."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.dense = nn.Linear(shape.width, shape.ffn, bias=shape.kind.biased)

    def forward(self, states: Tensor) -> Tensor:
        """Map states [..., w] to units [..., ffn]."""
        return functional.gelu(self.dense(states))


class Gated(Intermediate):
    """Feed-forward units, multiplied by a linear map of the same states.

    Source: GEGLU (Shazeer 2020, arXiv 2002.05202).
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.gate = nn.Linear(shape.width, shape.ffn, bias=shape.kind.biased)

    def forward(self, states: Tensor) -> Tensor:
        """Map states [..., w] to units [..., ffn]."""
        return super().forward(states) * self.gate(states)


class Added(nn.Module):
    """A linear map of something, added to the states and normalised."""

    def __init__(self, inputs: int, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, shape.width, bias=shape.kind.biased)
        self.LayerNorm: Any = _norm(shape)  # or the identity
        self.dropout = nn.Dropout(dropout)

    def forward(self, given: Tensor, states: Tensor) -> Tensor:
        """Map [..., inputs] and states [..., w] to new states."""
        return self.LayerNorm(self.summed(given, states))

    def summed(self, given: Tensor, states: Tensor) -> Tensor:
        """The sum before it is normalised."""
        return self.dropout(self.dense(given)) + states


class Pooler(nn.Module):
    """A classifier's input: a linear map of each text's first token, or of its tokens' mean, the family's
    non-linearity, and a LayerNorm if the family has one."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.dense = nn.Linear(shape.width, shape.width, bias=shape.kind.biased)
        self.activation, self.pooling = ACTIVATIONS[shape.kind.head.activation], shape.pooling
        self.LayerNorm: nn.Module = _norm(shape) if shape.kind.head.norm else nn.Identity()
        self.dropout: Any = None  # or a module

    def forward(self, states: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map states [b, t, w] with an attention mask [b, t] (None: no padding) to [b, w]."""
        mask = states.new_ones(states.shape[:2]) if mask is None and self.pooling == "mean" else mask
        read = pool(states, mask, self.pooling)
        return self.LayerNorm(self.activation(self.dense(read if self.dropout is None else self.dropout(read))))


def empty(kind: type[Kind], config: PreTrainedConfig) -> Kind:
    """Build a network whose weights are still to be loaded; nothing is drawn for them."""

    def undrawn(_: nn.Module) -> None:
        pass

    with (
        patch.object(nn.Linear, "reset_parameters", undrawn),
        patch.object(nn.Embedding, "reset_parameters", undrawn),
    ):
        return kind(config)


def attention_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return attention's bias [b, 1, 1, t] for a mask [b, t]: 0 for tokens, the lowest finite number for padding."""
    return (mask == 0)[:, None, None, :].to(dtype) * torch.finfo(dtype).min


def turns(mask: Tensor, shape: Shape, dtype: torch.dtype) -> Turns:
    """Return rotary positions for texts with a mask [b, t], and biases that also hide what is outside a window."""
    place = torch.arange(mask.shape[1], device=mask.device)
    far = (place[:, None] - place[None, :]).abs() > shape.detail["local_attention"] // 2
    hidden = (mask == 0)[:, None, None, :]

    def turn(base: float) -> tuple[Tensor, Tensor]:
        size = shape.width // shape.heads
        rates = 1.0 / (base ** (torch.arange(0, size, 2, dtype=torch.float, device=mask.device) / size))
        angles = (place[:, None].float() * rates).repeat(1, 2)
        return angles.cos().to(dtype), angles.sin().to(dtype)

    biases = [hide.to(dtype) * torch.finfo(dtype).min for hide in (hidden, hidden | far)]
    bases = (shape.detail[f"{kind}_rope_theta"] for kind in ("global", "local"))
    one, other = (turn(base) for base in bases)
    return Turns((biases[0], biases[1]), (one, other))


def relative_places(length: int, shape: Shape, device: torch.device) -> Tensor:
    """Rows [t, t] of the table of relative positions (query, key): near ones have their own, others share by logarithm.

    Source: DeBERTa-v2's code, `make_log_bucket_position`.
    """
    place = torch.arange(length, device=device)
    distance, buckets = place[:, None] - place[None, :], shape.detail["position_buckets"]
    half = shape.relative_rows // 2
    if buckets > 0:
        middle, farthest = buckets // 2, shape.detail["max_relative_positions"]
        # Near ones are replaced; the logarithm of zero must not get in their way.
        size = distance.abs().clamp(min=middle - 1).float()
        rate = torch.log(torch.tensor((farthest - 1) / middle, device=device))
        shared = torch.ceil(torch.log(size / middle) / rate * (middle - 1)) + middle
        distance = torch.where(size <= middle, distance.float(), shared * distance.sign()).long()
    return (distance + half).clamp(0, 2 * half - 1)


def set_attention(model: nn.Module, kind: str) -> None:
    """Let all attention in a model be computed as "eager" or "sdpa"."""
    for module in model.modules():
        if isinstance(module, SelfAttention):
            module.kind = kind


def bucket(length: int, buckets: int, device: torch.device) -> Tensor:
    """Buckets [t, t] of relative positions (query, key): near ones have their own, others share by logarithm.

    Half of the buckets are for keys before the query. Source: T5 (Raffel et al. 2020, arXiv 1910.10683), section 2.1.
    """
    place = torch.arange(length, device=device)
    distance, half = place[None, :] - place[:, None], buckets // 2
    near = half // 2
    far = distance.abs()
    growing = torch.log(far.float() / near) / math.log(FARTHEST / near) * (half - near)
    shared = (near + growing.nan_to_num(neginf=0).long()).clamp(max=half - 1)
    return torch.where(distance > 0, half, 0) + torch.where(far < near, far, shared)


def _norm(shape: Shape) -> nn.LayerNorm:
    return nn.LayerNorm(shape.width, eps=shape.epsilon, bias=shape.kind.biased)


def _kept(context: Tensor, states: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor]:
    """Contexts and states [b, t, w], or only those of the tokens `kept`."""
    if kept is None:
        return context, states
    return context.index_select(1, kept), states.index_select(1, kept)


def _dropouts(config: PreTrainedConfig, shape: Shape) -> tuple[float, float, float]:
    hidden, attention, classifier = shape.kind.dropouts
    last = next(value for key in classifier if (value := getattr(config, key, None)) is not None)
    return getattr(config, hidden), getattr(config, attention), last
