"""The network of every encoder, whatever its family, with BERT's names for its modules and tensors.

One network serves all families, since they differ in little that is computed: what does differ is in
`graft.registry.families`, and `graft.encoders.tensor_names` translates names. In eval mode and in training, it computes
what the family's model in transformers computes.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput

from graft.encoders.architecture import ACTIVATIONS
from graft.encoders.packing import Layout
from graft.registry.shapes import Shape

# On a CPU plain matrix products are faster than torch's fused attention (benchmarks/attention.py).
ATTENTION_ON = {"cpu": "eager", "cuda": "sdpa"}
ATTENTION = ATTENTION_ON["cuda" if torch.cuda.is_available() else "cpu"]
# A kind of network.
Kind = TypeVar("Kind", bound=nn.Module)
# Distance from which all relative positions share one bucket.
FARTHEST = 128


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
        """Run over texts [b, t], or over texts packed into one row, where only first tokens come out (`layout`)."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        state = self.embeddings(input_ids, token_type_ids, position_ids)
        bias = self.encoder.bias(layout.mask if layout else mask, state.dtype)
        states = [state]
        for number, layer in enumerate(self.encoder.layer, start=1):
            # A classifier reads only first tokens, so the others are dropped after the last layer's attention.
            state = layer(state, bias, layout, layout.firsts if layout and number == self.shape.layers else None)
            if output_hidden_states:
                states.append(state)
        state = state.transpose(0, 1) if layout else state
        return BaseModelOutputWithPooling(
            last_hidden_state=state,
            pooler_output=None if self.pooler is None else self.pooler(state),
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
        self.word_embeddings = nn.Embedding(shape.vocabulary, shape.width, padding_idx=pad)
        self.position_embeddings = nn.Embedding(shape.positions, shape.width)
        if shape.types:
            self.token_type_embeddings = nn.Embedding(shape.types, shape.width)
        self.LayerNorm = nn.LayerNorm(shape.width, eps=shape.epsilon)
        self.dropout = nn.Dropout(dropout)
        self.types = shape.types

    def forward(
        self, input_ids: Tensor, token_type_ids: Tensor | None = None, position_ids: Tensor | None = None
    ) -> Tensor:
        """Embed texts [b, t]; positions count from 0."""
        state = self.word_embeddings(input_ids)
        if self.types:
            # A model that knows one type is given that one, whatever the tokenizer says.
            typed = token_type_ids is not None and self.types > 1
            state = state + self.token_type_embeddings(token_type_ids if typed else torch.zeros_like(input_ids))
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        return self.dropout(self.LayerNorm(state + self.position_embeddings(position_ids)))


class Layers(nn.Module):
    """All layers, and biases of attention that they share."""

    layer: Any  # a list of Layer, which torch takes for modules of any kind

    def __init__(self, shape: Shape, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer(shape, dropout, attention_dropout) for _ in range(shape.layers))
        if shape.kind.buckets:
            self.relative_attention_bias = nn.Embedding(shape.kind.buckets, shape.heads)

    def bias(self, mask: Tensor, dtype: torch.dtype) -> Tensor:
        """Return what is added to attention's scores of texts with a mask [b, t]: [b, 1, 1, t], or [b, heads, t, t]."""
        bias = attention_bias(mask, dtype)
        if not hasattr(self, "relative_attention_bias"):
            return bias
        table = self.relative_attention_bias
        buckets = bucket(mask.shape[1], table.num_embeddings, mask.device)
        return table(buckets).permute(2, 0, 1)[None] + bias


class Layer(nn.Module):
    """Attention and feed-forward, each added to the states and then normalised."""

    def __init__(self, shape: Shape, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.attention = Attention(shape, dropout, attention_dropout)
        self.intermediate = Intermediate(shape)
        self.output = Added(shape.ffn, shape, dropout)

    def forward(self, states: Tensor, bias: Tensor, layout: Layout | None = None, kept: Tensor | None = None) -> Tensor:
        """Map states [b, t, w], or only those of the tokens `kept`; `bias` is added to attention's scores."""
        attended = self.attention(states, bias, layout, kept)
        return self.output(self.intermediate(attended), attended)


class Attention(nn.Module):
    """Multi-head attention, added to the states and normalised."""

    def __init__(self, shape: Shape, dropout: float, attention_dropout: float) -> None:
        super().__init__()
        self.self = SelfAttention(shape, attention_dropout)
        self.output = Added(shape.width, shape, dropout if shape.kind.drops_attended else 0.0)

    def forward(self, states: Tensor, bias: Tensor, layout: Layout | None = None, kept: Tensor | None = None) -> Tensor:
        """Map states [b, t, w], or only those of the tokens `kept`."""
        context = self.self(states, bias, layout)
        if kept is not None:
            context, states = context.index_select(1, kept), states.index_select(1, kept)
        return self.output(context, states)


class SelfAttention(nn.Module):
    """Queries, keys and values, and what attention makes of them. `kind`: "eager", or "sdpa", torch's fused one."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.query = nn.Linear(shape.width, shape.width)
        self.key = nn.Linear(shape.width, shape.width)
        self.value = nn.Linear(shape.width, shape.width)
        self.heads, self.size = shape.heads, shape.width // shape.heads
        self.dropout, self.kind = nn.Dropout(dropout), ATTENTION

    def forward(self, states: Tensor, bias: Tensor, layout: Layout | None = None) -> Tensor:
        """Contexts [b, t, w] for states [b, t, w], `bias` being added to scores."""
        rows = (*states.shape[:-1], self.heads, self.size)
        query, key, value = (linear(states).view(rows) for linear in (self.query, self.key, self.value))
        if layout:
            query, key, value = map(layout.spread, (query, key, value))
        else:
            query, key, value = (part.transpose(1, 2) for part in (query, key, value))
        context = self.attend(query, key, value, bias)
        return (layout.gathered(context) if layout else context.transpose(1, 2)).reshape(states.shape)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
        """Contexts [b, h, t, d] of queries, keys and values [b, h, t, d]."""
        dropout, scale = self.dropout.p if self.training else 0.0, self.size**-0.5
        if self.kind == "sdpa":
            return functional.scaled_dot_product_attention(query, key, value, bias, dropout, scale=scale)
        weights = functional.softmax(torch.matmul(query, key.transpose(2, 3)) * scale + bias, dim=-1)
        return torch.matmul(functional.dropout(weights, dropout, self.training), value)


class Intermediate(nn.Module):
    """Feed-forward units."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.dense = nn.Linear(shape.width, shape.ffn)

    def forward(self, states: Tensor) -> Tensor:
        """Map states [..., w] to units [..., ffn]."""
        return functional.gelu(self.dense(states))


class Added(nn.Module):
    """A linear map of something, added to the states and normalised."""

    def __init__(self, inputs: int, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, shape.width)
        self.LayerNorm = nn.LayerNorm(shape.width, eps=shape.epsilon)
        self.dropout = nn.Dropout(dropout)

    def forward(self, given: Tensor, states: Tensor) -> Tensor:
        """Map [..., inputs] and states [..., w] to new states."""
        return self.LayerNorm(self.dropout(self.dense(given)) + states)


class Pooler(nn.Module):
    """A classifier's input: a linear map of each text's first token, and the family's non-linearity."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.dense = nn.Linear(shape.width, shape.width)
        self.activation = ACTIVATIONS[shape.kind.head.activation]
        self.dropout: Any = None  # or a module

    def forward(self, states: Tensor) -> Tensor:
        """Map states [b, t, w] to [b, w]."""
        first = states[:, 0]
        return self.activation(self.dense(first if self.dropout is None else self.dropout(first)))


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


def _dropouts(config: PreTrainedConfig, shape: Shape) -> tuple[float, float, float]:
    hidden, attention, classifier = shape.kind.dropouts
    last = next(value for key in classifier if (value := getattr(config, key)) is not None)
    return getattr(config, hidden), getattr(config, attention), last
