"""OT fusion: the fine-tuned small model brought into the large one's shape and order of units, and averaged with it."""

from torch import Tensor

from graft.encoders.architecture import (
    BLOCK_OUT,
    EMBEDDING_NORM,
    EMBEDDINGS,
    LINEAR_SPACES,
    RELATIVE,
    RELATIVE_NORM,
    RESIDUAL,
    STREAM,
    layer_prefix,
    linears,
)
from graft.io.progress import along
from graft.merging.alignment import affine
from graft.merging.alignment.evidence import with_evidence
from graft.merging.alignment.maps import Maps
from graft.merging.alignment.spaces import SpaceMaps, fit_spaces
from graft.merging.protocol import (
    Deltas,
    Method,
    Parts,
    check_parts,
    moved_rows,
    named,
    norm_pairs,
    shared_tables,
    weight_and_bias,
)


class OTFusion(Method):
    """(1 - a) large + a T(small), T copying each unit to the large units most like it; `strength` is a, in [0, 1].

    Unlike a transport of changes it mixes whole weights: at a = 1 the mapped layers are the small model's own, written
    into copies of its units, and the large model's are gone. Large layers outside the depth map and the pooler stay.
    Plans are found between the two pre-trained models. Use it for models that are nearly the same; between others both
    functions are lost half way.
    Source: Singh & Jaggi 2020 (arXiv 1910.05653) for plans from activations; Imfeld et al. 2023 (arXiv 2310.05719) for
    one plan of the residual stream in transformers; rows are scaled by the width they have.
    """

    def fit_maps(self, parts: Parts) -> SpaceMaps:
        """The plans of every space."""
        return fit_spaces(with_evidence(parts), affine.fit(parts.options.alignment, 0.0))

    def prepare(self, parts: Parts, maps: SpaceMaps | None = None) -> Deltas:
        """Compute T(small) - large for every tensor that changes, float64."""
        check_parts(parts)
        maps = maps or self.fit_maps(parts)
        moved: dict[str, Tensor] = {}
        for m, g in along(parts.depth_map, parts.report, "layers carried over"):
            for name in linears(parts.small_shape, parts.large_shape):
                space = LINEAR_SPACES[name][1]
                # Whole units are moved with their weights, so no scale is matched before a LayerNorm.
                exit = maps.residual[m, g, STREAM[name]] if space == RESIDUAL else maps.inner[m, g, space]
                at = maps.entry(m, g, name).backward, exit.forward
                moved |= _linear(parts, layer_prefix(m) + name, layer_prefix(g) + name, *at)
            for small, large, _ in norm_pairs(parts, m, g):
                moved |= _rows(parts, small, large, maps.residual[m, g, BLOCK_OUT])
        stream = maps.residual[EMBEDDINGS]
        moved |= _rows(parts, EMBEDDING_NORM, EMBEDDING_NORM, stream)
        moved |= {name: moved_rows(parts, name, _small(parts, name), stream.forward) for name in shared_tables(parts)}
        if parts.small_shape.relative_rows and parts.small_shape.relative_rows == parts.large_shape.relative_rows:
            moved |= {RELATIVE: _small(parts, RELATIVE) @ stream.forward}
            moved |= _rows(parts, RELATIVE_NORM, RELATIVE_NORM, stream)
        deltas = {name: tensor - parts.large[name].double() for name, tensor in moved.items()}
        return Deltas(parts.large, deltas, maps.missed)


def _linear(parts: Parts, source: str, target: str, backward: Tensor, forward: Tensor) -> dict[str, Tensor]:
    weight, bias = weight_and_bias(parts.small_finetuned, source)
    return named(parts, target, forward.T @ weight @ backward.T, bias @ forward)


def _rows(parts: Parts, source: str, target: str, maps: Maps) -> dict[str, Tensor]:
    weight, bias = weight_and_bias(parts.small_finetuned, source)
    return named(parts, target, weight @ maps.forward, bias @ maps.forward)


def _small(parts: Parts, name: str) -> Tensor:
    return parts.small_finetuned[name].double()
