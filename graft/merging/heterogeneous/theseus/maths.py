"""Theseus: the small model's weight changes, carried over by one Procrustes map per linear layer's input and output."""

from collections.abc import Mapping

from torch import Tensor

from graft.encoders.architecture import (
    BLOCK_OUT,
    EMBEDDING_NORM,
    EMBEDDINGS,
    WORD_EMBEDDINGS,
    layer_prefix,
    linears,
    site_name,
)
from graft.io.progress import along
from graft.merging import moments
from graft.merging.alignment.evidence import with_evidence
from graft.merging.alignment.procrustes import procrustes
from graft.merging.protocol import Deltas, Method, Parts, change_of, check_parts, named, norm_pairs, small_change
from graft.registry import depth


class Theseus(Method):
    """Transport without training and without labels; `strength` scales the transported change.

    For a linear layer with maps T_in, T_out [w_S, w_L] between the pre-trained models' activations at its input and its
    output, and torch's weights [out, in]: dW_L = T_out^T dW_S T_in, db_L = T_out^T db_S, d = fine-tuned - pre-trained.
    The change of a LayerNorm's gain and bias is mapped like a bias, by T_out of the LayerNorm's output. Embeddings stay
    the large model's; with the option `embedding_delta`, dE_L = dE_S T_embeddings of the word embeddings.

    Use it where the two widths differ and nothing may be trained. The rank of each change is at most w_S, and scales
    between the models are not matched, so that strengths above 1 must be tried.
    Source: Rinaldi et al. 2026, arXiv 2602.12952; defaults are those of the authors' code, merge-and-rebase.
    """

    kept_maps = True

    def fit_maps(self, parts: Parts) -> dict[str, Tensor]:
        """The map [w_S, w_L] of every site, by name."""
        parts, maps = with_evidence(parts), {}
        mapped, width = parts.options.layernorm == "map", (parts.small_shape.width, parts.large_shape.width)
        for m, g in along(parts.depth_map, parts.report, "layers mapped"):
            for linear, (site_in, site_out) in linears(parts.small_shape, parts.large_shape).items():
                small_out, small_in = parts.small_pretrained[f"{layer_prefix(m)}{linear}.weight"].shape
                large_out, large_in = parts.large[f"{layer_prefix(g)}{linear}.weight"].shape
                for site, *widths in ((site_in, small_in, large_in), (site_out, small_out, large_out)):
                    name = site_name(m, g, site)
                    if name not in maps:  # query, key and value share one input
                        maps[name] = _map(parts, name, *widths)
            if mapped:  # the other LayerNorm's output is the feed-forward layer's input
                maps[site_name(m, g, BLOCK_OUT)] = _map(parts, site_name(m, g, BLOCK_OUT), *width)
        if mapped or parts.options.embedding_delta:
            maps[EMBEDDINGS] = _map(parts, EMBEDDINGS, *width)
        return maps

    def prepare(self, parts: Parts, maps: Mapping[str, Tensor] | None = None) -> Deltas:
        """Changes of the large body's tensors at strength 1, float64."""
        check_parts(parts)
        maps = maps or self.fit_maps(parts)
        share = depth.shares(parts.depth_map)
        deltas: dict[str, Tensor] = {}
        for m, g in along(parts.depth_map, parts.report, "layers carried over"):
            layer = _linear_layers(parts, maps, m, g)
            if parts.options.layernorm == "map":
                for small, large, site in norm_pairs(parts, m, g):
                    layer |= _norm(parts, small, large, maps[site_name(m, g, site)])
            deltas |= {name: share[m, g] * delta for name, delta in layer.items()}
        if parts.options.layernorm == "map":
            deltas |= _norm(parts, EMBEDDING_NORM, EMBEDDING_NORM, maps[EMBEDDINGS])
        if parts.options.embedding_delta:
            deltas[WORD_EMBEDDINGS] = small_change(parts, WORD_EMBEDDINGS) @ maps[EMBEDDINGS]
        return Deltas(parts.large, deltas)


def _linear_layers(parts: Parts, maps: Mapping[str, Tensor], m: int, g: int) -> dict[str, Tensor]:
    deltas: dict[str, Tensor] = {}
    for linear, sites in linears(parts.small_shape, parts.large_shape).items():
        map_in, map_out = (maps[site_name(m, g, site)] for site in sites)
        weight, bias = change_of(parts, layer_prefix(m) + linear)
        deltas |= named(parts, layer_prefix(g) + linear, map_out.T @ weight @ map_in, map_out.T @ bias)
    return deltas


def _norm(parts: Parts, small: str, large: str, map_out: Tensor) -> dict[str, Tensor]:
    weight, bias = change_of(parts, small)
    return named(parts, large, weight @ map_out, bias @ map_out)


def _map(parts: Parts, site: str, small: int, large: int) -> Tensor:
    seen = moments.read(parts.sums, site, small, large)
    return procrustes(seen.centred_cross() if parts.options.centred else seen.cross)
