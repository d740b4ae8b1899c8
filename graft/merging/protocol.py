"""The interface of methods of kind `weights`: an expensive `prepare`, and an `apply` for every strength."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from graft.encoders.architecture import (
    EMBEDDING_TABLES,
    WORD_EMBEDDINGS,
    check_body,
    layer_prefix,
    norm_at,
    norms,
    stacked,
)
from graft.io.progress import Report, silent
from graft.registry import depth
from graft.registry.depth import DepthMap
from graft.registry.shapes import Shape


@dataclass(frozen=True)
class Parts:
    """The inputs of a merge.

    Bodies are `Encoder.state_dict()`s. `moments` are from `graft.merging.calibration.calibrate` with this depth
    map, for methods that need them; `options` from `methods.checked_options`; `texts`: batches of tokens, for
    methods that run the models again; `projections`: the weights [w_L, w_S] with which a distillation compared hidden
    states, if the small model came with any: one for all states, or one for the embeddings and one per layer; `rows`
    [large vocabulary], if the vocabularies differ: the small model's token of the same surface form, or -1; `report`
    receives the method's progress. All tensors are on one device, where the merge is computed.
    """

    large: Mapping[str, Tensor]
    small_finetuned: Mapping[str, Tensor]
    small_pretrained: Mapping[str, Tensor]
    large_shape: Shape
    small_shape: Shape
    depth_map: DepthMap
    moments: Mapping[str, Tensor] | None = None
    options: Any = None
    texts: Sequence[Mapping[str, Tensor]] = ()
    projections: Sequence[Tensor] = ()
    rows: Tensor | None = None
    report: Report = silent

    def to(self, device: str | torch.device) -> Parts:
        """The same parts with all tensors on a device, where every method then computes."""

        def moved(named: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: tensor.to(device) for name, tensor in named.items()}

        return replace(
            self,
            large=moved(self.large),
            small_finetuned=moved(self.small_finetuned),
            small_pretrained=moved(self.small_pretrained),
            # On the CPU they stay in their file until they are read.
            moments=self.moments if torch.device(device).type == "cpu" else self.moments and moved(self.moments),
            texts=[moved(batch) for batch in self.texts],
            projections=[projection.to(device) for projection in self.projections],
            rows=self.rows if self.rows is None else self.rows.to(device),
        )

    @property
    def device(self) -> torch.device:
        return next(iter(self.large.values())).device

    @property
    def sums(self) -> Mapping[str, Tensor]:
        """The moments; raises ValueError if there are none."""
        if self.moments is None:
            raise ValueError(
                f"{self.options.name} needs the moments of a calibration; run calibrate for this pair of models"
            )
        return self.moments


class Method(Protocol):
    """A merge method in two halves, the first of which may build on maps.

    `kept_maps`: whether these take long to fit, are tensors by name, and are small enough to be kept on disk.
    """

    kept_maps: ClassVar[bool] = False

    def fit_maps(self, parts: Parts) -> Any:
        """All that `prepare` needs of the two pre-trained models alone, whatever the fine-tuning; None: nothing."""
        return None

    def prepare(self, parts: Parts, maps: Any = None) -> Any:
        """The expensive half, once per task, pair and seed, which fits the maps unless they are given.

        Raises ValueError naming a tensor of unexpected shape.
        """

    def apply(self, state: Any, strength: float) -> dict[str, Tensor]:
        """The whole merged body in the large shape and dtype; at strength 0 the large model's tensors exactly.

        Unchanged tensors may be the large body's own. By default, `state` holds the changes at strength 1, as Deltas.
        """
        return add(state, strength)


@dataclass(frozen=True)
class Deltas:
    """The large body, float64 changes of some of its tensors, and diagnostics from `prepare`, by name."""

    large: Mapping[str, Tensor]
    by_name: Mapping[str, Tensor]
    diagnostics: Mapping[str, float] = field(default_factory=dict)


def add(deltas: Deltas, strength: float) -> dict[str, Tensor]:
    """large + strength * change, summed in float64 and returned in the large body's dtype.

    Raises ValueError if the large body has no tensor of a change's name and shape.
    """
    for name, delta in deltas.by_name.items():
        if name not in deltas.large or deltas.large[name].shape != delta.shape:
            raise ValueError(f"change of {name} with shape {list(delta.shape)} fits no tensor of the large model")
    merged = {}
    for name, tensor in deltas.large.items():
        if name in deltas.by_name and strength != 0:
            merged[name] = (tensor.double() + strength * deltas.by_name[name]).to(tensor.dtype)
        else:
            merged[name] = tensor
    return merged


def deepened(parts: Parts) -> Parts:
    """Make the small bodies as deep as the depth map has pairs, if the option `depth` is one that does so.

    Each mapped large layer then has its own small layer, of the same number.
    """
    if parts.options.depth not in depth.DEEPENED:
        return parts
    layers, projections = [m for m, _ in parts.depth_map], parts.projections
    midpoints = parts.options.depth == "midpoints"
    if len(projections) > 1:
        projections = [projections[0], *(projections[m + 1] for m in layers)]
    return replace(
        parts,
        small_finetuned=stacked(parts.small_finetuned, layers, midpoints, parts.small_shape.kind.prenorm),
        small_pretrained=stacked(parts.small_pretrained, layers, midpoints, parts.small_shape.kind.prenorm),
        small_shape=parts.small_shape.stacked(layers),
        depth_map=tuple((g, g) for _, g in parts.depth_map),
        projections=projections,
    )


def shared_tables(parts: Parts) -> tuple[str, ...]:
    """The embedding tables that both models have, row by row, or token by token of those that they share."""
    bodies = parts.small_pretrained, parts.large
    rows = {name: [len(body[name]) for body in bodies if name in body] for name in EMBEDDING_TABLES}
    shared = (name for name, counts in rows.items() if len(counts) == 2 and counts[0] == counts[1])
    return tuple(dict.fromkeys([*shared, *([] if parts.rows is None else [WORD_EMBEDDINGS])]))


def known_rows(parts: Parts, name: str) -> tuple[Tensor, Tensor] | None:
    """Rows of the small model's word embeddings, and those of the large one's for the same tokens; None: row by row.

    Raises ValueError if the vocabularies share no token.
    """
    if parts.rows is None or name != WORD_EMBEDDINGS:
        return None
    large = (parts.rows >= 0).nonzero()[:, 0]
    if not len(large):
        options = parts.options
        raise ValueError(f"{options.name}: the two vocabularies have no token in common; {options.of_shared_tokens}")
    return parts.rows[large], large


def small_rows(parts: Parts, name: str, tensor: Tensor, otherwise: Tensor | None = None) -> Tensor:
    """A tensor of the small model; of word embeddings the rows in the large model's order.

    Tokens that only the large model has get their rows of `otherwise`, or zeros.
    """
    known = known_rows(parts, name)
    if known is None:
        return tensor
    empty = tensor.new_zeros(len(parts.large[name]), tensor.shape[1])
    found = empty if otherwise is None else otherwise.to(tensor, copy=True)
    found[known[1]] = tensor[known[0]]
    return found


def small_change(parts: Parts, name: str) -> Tensor:
    """Fine-tuned minus pre-trained tensor of the small model, float64; of word embeddings as `small_rows`."""
    change = parts.small_finetuned[name].double() - parts.small_pretrained[name].double()
    return small_rows(parts, name, change)


def moved_rows(parts: Parts, name: str, tensor: Tensor, forward: Tensor) -> Tensor:
    """A table of the small model through a map [w_S, w_L], float64; of tokens that it lacks, the large model's rows."""
    moved, known = small_rows(parts, name, tensor) @ forward, known_rows(parts, name)
    if known is not None:
        lacking = torch.ones(len(moved), dtype=torch.bool, device=moved.device)
        lacking[known[1]] = False
        moved[lacking] = parts.large[name][lacking].to(moved)
    return moved


def change_of(parts: Parts, layer: str) -> tuple[Tensor, Tensor]:
    """Fine-tuned minus pre-trained weight and bias of a linear layer or LayerNorm of the small model, float64."""
    after, before = (weight_and_bias(body, layer) for body in (parts.small_finetuned, parts.small_pretrained))
    return after[0] - before[0], after[1] - before[1]


def weight_and_bias(body: Mapping[str, Tensor], layer: str) -> tuple[Tensor, Tensor]:
    """A linear layer's or LayerNorm's tensors, float64; the bias is zero where there is none."""
    weight = body[f"{layer}.weight"].double()
    bias = body.get(f"{layer}.bias")
    return weight, weight.new_zeros(len(weight)) if bias is None else bias.double()


def named(parts: Parts, layer: str, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """Name a weight and a bias as tensors of the large model; a bias that it lacks is dropped."""
    found = {f"{layer}.weight": weight, f"{layer}.bias": bias}
    return {name: tensor for name, tensor in found.items() if name in parts.large}


def norm_pairs(parts: Parts, m: int, g: int) -> Iterator[tuple[str, str, str]]:
    """Yield the LayerNorms of large layer g, each with the small one that makes the same site of layer m, and the site:
    (small name, large name, site)."""
    for norm, site in norms(parts.large_shape, g).items():
        yield norm_at(parts.small_shape, m, site), layer_prefix(g) + norm, site


def check_parts(parts: Parts) -> None:
    """Raise ValueError unless all three bodies have the tensors of their shapes and the depth map fits."""
    check_body(parts.large, parts.large_shape, "large model")
    check_body(parts.small_finetuned, parts.small_shape, "fine-tuned small model")
    check_body(parts.small_pretrained, parts.small_shape, "pre-trained small model")
    depth.check(parts.depth_map, parts.small_shape.layers, parts.large_shape.layers)
