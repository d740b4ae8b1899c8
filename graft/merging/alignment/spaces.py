"""Fit one map per space of a pair of encoders to a calibration's moments."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn.functional import layer_norm

from graft.encoders.architecture import (
    ATTENTION_IN,
    EMBEDDING_NORM,
    EMBEDDINGS,
    FFN,
    LINEAR_SPACES,
    NORMS,
    QUERY_KEY,
    RELATIVE,
    RELATIVE_NORM,
    RESIDUAL,
    STREAM,
    VALUE,
    layer_prefix,
    norm_at,
    site_name,
)
from graft.io.progress import along
from graft.merging import moments
from graft.merging.alignment import transport
from graft.merging.alignment.affine import Fit, missed
from graft.merging.alignment.attention_heads import match, per_head
from graft.merging.alignment.maps import Maps
from graft.merging.moments import Moments
from graft.merging.protocol import Parts, change_of, named, small_change, weight_and_bias

# Of the residual stream: EMBEDDINGS, or a small layer, a large layer and a site.
Place = str | tuple[int, int, str]


@dataclass(frozen=True)
class SpaceMaps:
    """The maps of a pair of models: of the residual stream, by site, and of the spaces inside mapped layers.

    `residual` has a map for EMBEDDINGS and for each (small layer, large layer, site), all the same if the stream was
    pooled. `inner` has one for each (small layer, large layer, space). `writes`: by LayerNorm site, the forward map
    [w_S, w_L] of what is added to the stream before that LayerNorm. `sums`: the moments. `missed`: by space, the share
    of the large activations' variance that the mapped small ones miss: over all sites together if they share one map,
    otherwise averaged over sites.
    """

    residual: Mapping[Place, Maps]
    inner: Mapping[tuple[int, int, str], Maps]
    writes: Mapping[Place, Tensor]
    sums: Mapping[str, Tensor]
    missed: Mapping[str, float]

    def entry(self, m: int, g: int, linear: str) -> Maps:
        """The maps of the space that a linear layer reads."""
        space = LINEAR_SPACES[linear][0]
        return self.residual[m, g, STREAM[linear]] if space == RESIDUAL else self.inner[m, g, space]

    def exit(self, m: int, g: int, linear: str) -> Tensor:
        """The forward map of the space that a linear layer writes."""
        space = LINEAR_SPACES[linear][1]
        return self.writes[m, g, STREAM[linear]] if space == RESIDUAL else self.inner[m, g, space].forward


# Weight of the direction that a LayerNorm removes, as a share of its tokens (see `fit_spaces`).
RESTORED = 0.1


def fit_spaces(parts: Parts, fit: Fit, residual: str = "pooled", heads: bool = False) -> SpaceMaps:
    """Fit all maps with `fit`.

    residual: "pooled": one map for the residual stream, from all LayerNorm outputs and the embeddings together;
    "fit_dense": the same, but with the projection of the small model's distillation (TinyBERT's `fit_dense`) as the
    forward map, or one projection per layer if it has those; "per_site": one map per site. heads: map queries and keys,
    and values, head by head.

    A LayerNorm's output n g + b stays in a hyperplane, since n has mean zero. Activations therefore do not determine
    the map of the remaining direction g, or of its images under the layers that read it, but fine-tuning changes
    weights along it. Both models lose the same direction, so a few virtual tokens b + g and b - g, with their queries,
    keys and values, are added to the moments.
    """
    width = parts.small_shape.width, parts.large_shape.width
    ffn = parts.small_shape.ffn, parts.large_shape.ffn

    def seen(m: int, g: int, site: str) -> Moments:
        return moments.read(parts.sums, site_name(m, g, site), *(ffn if site == "ffn" else width))

    def norms_at(m: int, g: int, site: str) -> tuple[str, str]:
        return norm_at(parts.small_shape, m, site), norm_at(parts.large_shape, g, site)

    def gains(small_norm: str, large_norm: str) -> tuple[Tensor, Tensor]:
        small, large = parts.small_pretrained[f"{small_norm}.weight"], parts.large[f"{large_norm}.weight"]
        return small.double(), large.double()

    def read_by(linear: str, m: int, g: int) -> Moments:
        """Moments of a linear layer's output, with the image of the direction that its input lacks."""
        missing = gains(*norms_at(m, g, ATTENTION_IN))
        small, large = (
            body[f"{layer_prefix(layer)}attention.self.{linear}.weight"].double() @ gain
            for body, layer, gain in zip((parts.small_pretrained, parts.large), (m, g), missing, strict=True)
        )
        return seen(m, g, f"{linear}.out").centred().with_direction(small, large, RESTORED)

    parts.report(0, 0, "mapping the residual stream")
    places: list[Place] = [EMBEDDINGS, *((m, g, site) for m, g in parts.depth_map for site in NORMS.values())]
    norms = {EMBEDDINGS: gains(EMBEDDING_NORM, EMBEDDING_NORM)} | {
        (m, g, site): gains(*norms_at(m, g, site)) for m, g in parts.depth_map for site in NORMS.values()
    }
    names = {place: place if isinstance(place, str) else site_name(*place) for place in places}
    stream = {
        place: moments.read(parts.sums, names[place], *width).centred().with_direction(*norms[place], RESTORED)
        for place in places
    }
    reads = [(m, g, ATTENTION_IN) for m, g in parts.depth_map]
    if residual == "per_site":
        for m, g, site in reads:
            before = gains(*norms_at(m, g, site))
            stream[m, g, site] = seen(m, g, site).centred().with_direction(*before, RESTORED)
        streams = {place: fit(moment) for place, moment in stream.items()}
    else:
        pooled = moments.total(stream.values())
        shared = fit(pooled)
        streams = dict.fromkeys([*places, *reads], shared)
        if residual == "fit_dense":
            streams = {place: replace(shared, forward=_projection(parts, place)) for place in streams}
    if residual == "per_site" or (residual == "fit_dense" and len(parts.projections) > 1):
        gaps = {RESIDUAL: [missed(moment, streams[place]) for place, moment in stream.items()]}
    else:
        # Over all sites together, as the map was fitted; only this share never falls as the ridge grows.
        gaps = {RESIDUAL: [missed(pooled, streams[EMBEDDINGS])]}

    inner: dict[tuple[int, int, str], Maps] = {}
    for m, g in along(parts.depth_map, parts.report, "layers with maps between the models"):
        queries, values = read_by("query", m, g) + read_by("key", m, g), read_by("value", m, g)
        if heads:
            counts = parts.small_shape.heads, parts.large_shape.heads
            # A head's queries, keys and values must all go to the same large heads.
            matched = match(values, *counts)
            inner[m, g, QUERY_KEY] = per_head(queries, fit, matched, counts[0])
            inner[m, g, VALUE] = per_head(values, fit, matched, counts[0])
        else:
            inner[m, g, QUERY_KEY], inner[m, g, VALUE] = fit(queries), fit(values)
        inner[m, g, FFN] = fit(seen(m, g, "ffn"))
        for space, moment in ((QUERY_KEY, queries), (VALUE, values), (FFN, seen(m, g, "ffn"))):
            gaps.setdefault(space, []).append(missed(moment, inner[m, g, space]))
    writes = {
        place: transport.before_norm(
            streams[place].forward, *norms[place], *parts.sums[f"{names[place]}.spread"].tolist()
        )
        for place in places
    }
    shares = {f"missed.{space}": sum(found) / len(found) for space, found in gaps.items()}
    return SpaceMaps(streams, inner, writes, parts.sums, shares)


def _projection(parts: Parts, place: Place) -> Tensor:
    """The forward map [w_S, w_L] at a place of the residual stream, from the small model's distillation.

    A block's input has the projection of the previous layer (or the embeddings); from its attention's output on, the
    block's own projection applies.
    """
    if not parts.projections:
        raise ValueError(
            "residual fit_dense: the small model came without the projection of its distillation; use pooled instead"
        )
    state = 0 if isinstance(place, str) else place[0] + (place[2] != ATTENTION_IN)
    projection = parts.projections[state if len(parts.projections) > 1 else 0]
    if projection.shape != (parts.large_shape.width, parts.small_shape.width):
        raise ValueError(
            f"residual fit_dense: the small model's projection is {list(projection.shape)}, made for a teacher "
            f"{len(projection)} wide; this large model is {parts.large_shape.width} wide: use pooled instead"
        )
    return projection.double().T


def relative_positions(parts: Parts, forward: Tensor, norm: bool) -> dict[str, Tensor]:
    """Return changes of the embeddings of relative positions, if both models have as many, and (`norm`) of their
    LayerNorm.

    Queries and keys read them as they read the residual stream, so its map [w_S, w_L] applies. All rows are at hand, so
    their moments need no texts.
    """
    bodies = parts.small_pretrained, parts.large
    tables = [body[RELATIVE].double() for body in bodies if RELATIVE in body]
    if [len(table) for table in tables] != 2 * [parts.small_shape.relative_rows]:
        return {}
    small, large = (weight_and_bias(body, RELATIVE_NORM) for body in bodies)
    spreads = (float(table.std(1, correction=0).mean()) for table in tables)
    found = {RELATIVE: small_change(parts, RELATIVE) @ transport.before_norm(forward, small[0], large[0], *spreads)}
    if not norm:
        return found
    epsilons = parts.small_shape.epsilon, parts.large_shape.epsilon
    normed = [
        layer_norm(table, gain.shape, gain, bias, epsilon)
        for table, (gain, bias), epsilon in zip(tables, (small, large), epsilons, strict=True)
    ]
    seen = Moments.of(normed[0], normed[1], grams=True)
    moved = transport.norm(change_of(parts, RELATIVE_NORM), small, large, seen, forward)
    return found | named(parts, RELATIVE_NORM, *moved)
