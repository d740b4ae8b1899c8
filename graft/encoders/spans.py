"""States of spans, where the two models of a pair read the same texts in different tokens.

A batch of a `PairedSplit` has the inputs of both models. Of other batches both models read the same tokens, and each
token is a span.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from graft.tasks.spans import NONE, SMALL, SPANS

Batch = Mapping[str, Tensor]
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def read_by(role: str, batch: Batch) -> dict[str, Tensor]:
    """The inputs in a batch of a pair's "large" or "small" model."""
    prefix = _prefix(role, batch)
    return {name: batch[prefix + name] for name in INPUTS}


def span_states(role: str, states: Tensor, batch: Batch) -> Tensor:
    """The mean over each span's tokens of one model's states [b, t, ...]; returns [spans, ...], text after text.

    Both models have the same spans, in the same order. Where both read the same tokens, these are all but padding.
    """
    if SPANS not in batch:
        return states[batch["attention_mask"].bool()]
    spans = batch[_prefix(role, batch) + SPANS]
    real, counts = spans != NONE, spans.amax(1) + 1
    places = (spans + _firsts(spans)[:, None])[real]
    total = int(counts.sum())
    sums = states.new_zeros(total, *states.shape[2:]).index_add(0, places, states[real])
    pieces = torch.bincount(places, minlength=total).to(states.dtype)
    return sums / pieces.view(-1, *[1] * (states.dim() - 2))


def carried(to: str, states: Tensor, batch: Batch) -> Tensor:
    """States [b, t, ...] of one model, brought to the tokens of the other, the "large" or "small" one, that `to` names.

    Each of its tokens has the mean of its span; one that is in no span has that of the span before it.
    """
    if SPANS not in batch:
        return states
    spans = batch[_prefix(to, batch) + SPANS].cummax(1).values
    means = span_states("small" if to == "large" else "large", states, batch)
    return means[spans + _firsts(spans)[:, None]]


def _prefix(role: str, batch: Batch) -> str:
    return SMALL if role == "small" and SPANS in batch else ""


def _firsts(spans: Tensor) -> Tensor:
    """The number among all spans of a batch of each text's first one. [b]"""
    counts = spans.amax(1) + 1
    return counts.cumsum(0) - counts
