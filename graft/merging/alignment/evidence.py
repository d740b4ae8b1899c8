"""The moments that maps are fitted to: a calibration's, from activations, or moments derived from weights alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from graft.encoders.architecture import (
    EMBEDDING_NORM,
    EMBEDDINGS,
    FFN,
    GATE,
    LINEAR_SPACES,
    NORMS,
    POSITIONS,
    RESIDUAL,
    TYPES,
    VALUE,
    WORD_EMBEDDINGS,
    layer_prefix,
    linears,
    site_name,
)
from graft.io.progress import along
from graft.merging.moments import Moments
from graft.merging.protocol import Parts, check_parts, known_rows, weight_and_bias

AT_A_TIME = 4096  # tokens


def with_evidence(parts: Parts) -> Parts:
    """Parts with moments: a calibration's, or derived from weights with the option `evidence: weights`.

    Raises ValueError if a calibration is needed and missing, or if parts do not fit together (`check_parts`).
    """
    check_parts(parts)
    return replace(parts, moments=from_weights(parts) if parts.options.evidence == "weights" else parts.sums)


def from_weights(parts: Parts) -> dict[str, Tensor]:
    """Statistics in the form of `graft.merging.calibration.calibrate` from products of weights, without text.

    Every token that both vocabularies have counts once. At all layers, the residual stream is the token's embedding
    after the first LayerNorm. Every other site follows from it through the linear layers, X^T X becoming W X^T X W^T,
    as if each token attended to itself only. Only feed-forward units are computed token by token, since before their
    non-linearity they have only the rank of the stream. Source: ours.
    """
    bodies = parts.small_pretrained, parts.large
    shapes, known = (parts.small_shape, parts.large_shape), known_rows(parts, WORD_EMBEDDINGS) or (None, None)
    embedded = [_embedded(body, shape.epsilon, rows) for body, shape, rows in zip(bodies, shapes, known, strict=True)]
    stream = Moments.of(embedded[0], embedded[1], grams=True)
    spread = torch.stack([tokens.std(1, correction=0).mean() for tokens in embedded])
    found = stream.tensors(EMBEDDINGS) | {f"{EMBEDDINGS}.spread": spread}
    for m, g in along(parts.depth_map, parts.report, "layers compared by their weights"):
        made = {RESIDUAL: stream}
        sites: dict[str, Moments] = {}
        prefixes = layer_prefix(m), layer_prefix(g)
        for linear, (site_in, site_out) in linears(parts.small_shape, parts.large_shape).items():
            space_in, space_out = LINEAR_SPACES[linear]
            into = made[space_in]
            weights = [weight_and_bias(body, at + linear) for body, at in zip(bodies, prefixes, strict=True)]
            sites |= {site_in: into, site_out: into.through(*weights)}
            if linear == "intermediate.dense":
                gates = [
                    weight_and_bias(body, at + GATE) if f"{at}{GATE}.weight" in body else None
                    for body, at in zip(bodies, prefixes, strict=True)
                ]
                made[FFN] = _units(embedded, weights, gates)
            elif space_out != FFN and space_out != RESIDUAL:
                made[space_out] = sites[site_out]
        sites |= dict.fromkeys(NORMS.values(), stream)
        sites["context"] = made[VALUE]
        for site, moment in sites.items():
            found |= moment.tensors(site_name(m, g, site))
        found |= {f"{site_name(m, g, site)}.spread": spread for site in NORMS.values()}
    return found


def _units(
    embedded: Sequence[Tensor], weights: Sequence[tuple[Tensor, Tensor]], gates: Sequence[tuple[Tensor, Tensor] | None]
) -> Moments:
    """Moments of feed-forward units over all tokens, in chunks; each model may have a gate."""
    found: Moments | None = None
    for tokens in zip(*(states.split(AT_A_TIME) for states in embedded), strict=True):
        small, large = (
            torch.nn.functional.gelu(states @ weight.T + bias) * (states @ gate[0].T + gate[1] if gate else 1.0)
            for states, (weight, bias), gate in zip(tokens, weights, gates, strict=True)
        )
        found = found.added(small, large) if found else Moments.of(small, large, grams=True)
    assert found is not None  # a vocabulary has tokens
    return found


def _embedded(body: Mapping[str, Tensor], epsilon: float, rows: Tensor | None) -> Tensor:
    """The embedding block's output [vocabulary, w] of all tokens or `rows`, at the mean position, with type 0."""
    whole = (body[WORD_EMBEDDINGS] if rows is None else body[WORD_EMBEDDINGS][rows]).double()
    if POSITIONS in body:
        whole = whole + body[POSITIONS].double().mean(0)
    if TYPES in body:
        whole = whole + body[TYPES][0].double()
    gain, bias = weight_and_bias(body, EMBEDDING_NORM)
    return torch.nn.functional.layer_norm(whole, gain.shape, gain, bias, epsilon)
