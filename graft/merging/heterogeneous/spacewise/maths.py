"""Spacewise: the small model's weight changes, carried over by one affine map per space."""

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from graft.encoders.architecture import (
    EMBEDDING_NORM,
    EMBEDDINGS,
    layer_prefix,
    linears,
    site_name,
)
from graft.io.progress import along
from graft.merging import moments
from graft.merging.alignment import affine, transport
from graft.merging.alignment.evidence import with_evidence
from graft.merging.alignment.maps import Maps
from graft.merging.alignment.spaces import SpaceMaps, fit_spaces, relative_positions
from graft.merging.moments import Moments
from graft.merging.protocol import (
    Deltas,
    Method,
    Parts,
    change_of,
    check_parts,
    named,
    norm_pairs,
    shared_tables,
    small_change,
    weight_and_bias,
)
from graft.registry import depth


class Spacewise(Method):
    """Transport without training and without labels; `strength` scales the transported change.

    A *space* is shared by all layers that read or write it: the residual stream (one map for all layers, from all
    LayerNorm outputs and the embeddings), and in every layer the feed-forward units after the non-linearity, the
    values, and queries and keys jointly. Maps are least squares in both directions (`alignment`: or others), so scales
    and shifts between the models are matched: dW_L = P_out^T dW R_in^T (`alignment.transport.linear`); what is added to
    the residual stream before a LayerNorm is mapped as such (`alignment.transport.before_norm`).
    Exact where the large model is the small one with its units copied, permuted, or (linear parts) turned, rescaled and
    shifted, at ridge 0.

    Options: `depth`; `map_ridge`; `layernorm` (fit: unit by unit, map: through P, leave); `embedding_delta`; `residual`
    (pooled or one map per site); `per_head`. Use it where the small model was distilled from the large one or is like
    it; where the two share little, maps shrink to nothing and so does the change. Source: ours; what it mends in
    Theseus (arXiv 2602.12952) is one map per layer's input and output, without scale.
    """

    def fit_maps(self, parts: Parts) -> SpaceMaps:
        """The maps of every space."""
        options = parts.options
        fit = affine.fit(options.alignment, options.map_ridge)
        return fit_spaces(with_evidence(parts), fit, residual=options.residual, heads=options.per_head)

    def prepare(self, parts: Parts, maps: SpaceMaps | None = None) -> Deltas:
        """Changes of the large body's tensors at strength 1, float64."""
        check_parts(parts)
        maps, options = maps or self.fit_maps(parts), parts.options
        parts = replace(parts, moments=maps.sums)
        share = depth.shares(parts.depth_map)
        deltas: dict[str, Tensor] = {}
        for m, g in along(parts.depth_map, parts.report, "layers carried over"):
            layer = dict(_linear_layers(parts, maps, m, g))
            if options.layernorm != "leave":
                for small, large, site in norm_pairs(parts, m, g):
                    seen = _seen(parts, site_name(m, g, site))
                    layer |= _norm(parts, small, large, seen, maps.residual[m, g, site])
            deltas |= {name: share[m, g] * delta for name, delta in layer.items()}
        if options.embedding_delta:
            deltas |= {name: small_change(parts, name) @ maps.writes[EMBEDDINGS] for name in shared_tables(parts)}
            if options.layernorm != "leave":
                seen = _seen(parts, EMBEDDINGS)
                deltas |= _norm(parts, EMBEDDING_NORM, EMBEDDING_NORM, seen, maps.residual[EMBEDDINGS])
            deltas |= relative_positions(parts, maps.residual[EMBEDDINGS].forward, options.layernorm != "leave")
        return Deltas(parts.large, deltas, maps.missed)


def _linear_layers(parts: Parts, maps: SpaceMaps, m: int, g: int) -> Iterator[tuple[str, Tensor]]:
    for name, (site_in, _) in linears(parts.small_shape, parts.large_shape).items():
        source, target = layer_prefix(m) + name, layer_prefix(g) + name
        change = change_of(parts, source)
        widths = change[0].shape[1], parts.large[f"{target}.weight"].shape[1]
        seen = moments.read(parts.sums, site_name(m, g, site_in), *widths)
        means = seen.mean_small, seen.mean_large
        weight, bias = transport.linear(*change, maps.entry(m, g, name), maps.exit(m, g, name), means)
        yield from named(parts, target, weight, bias).items()


def _seen(parts: Parts, site: str) -> Moments:
    return moments.read(parts.sums, site, parts.small_shape.width, parts.large_shape.width)


def _norm(parts: Parts, small: str, large: str, seen: Moments, maps: Maps) -> dict[str, Tensor]:
    change = change_of(parts, small)
    if parts.options.layernorm == "map":
        moved = change[0] @ maps.forward, change[1] @ maps.forward
    else:
        before = weight_and_bias(parts.small_pretrained, small), weight_and_bias(parts.large, large)
        moved = transport.norm(change, *before, seen, maps.forward)
    return named(parts, large, *moved)
