"""Statistics of a small and a large encoder's activations on the same tokens, summed batch by batch in float64."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import BertModel

from graft.cost.flops import calibration_flops
from graft.merging.architecture import EMBEDDINGS, LINEARS, layer_prefix
from graft.merging.protocol import check_depth_map

__all__ = ["CrossMoments", "calibrate", "calibration_flops", "moments"]

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@dataclass
class CrossMoments:
    """Running sums over tokens at one site: count, small [w_S], large [w_L], cross = small^T large [w_S, w_L]."""

    count: int
    small: Tensor
    large: Tensor
    cross: Tensor

    @classmethod
    def of(cls, small: Tensor, large: Tensor) -> "CrossMoments":
        """Sums over activations small [n, w_S] and large [n, w_L] of the same tokens."""
        small, large = small.double(), large.double()
        return cls(len(small), small.sum(0), large.sum(0), small.T @ large)

    def __iadd__(self, other: "CrossMoments") -> "CrossMoments":
        self.count += other.count
        self.small += other.small
        self.large += other.large
        self.cross += other.cross
        return self

    def centred_cross(self) -> Tensor:
        """Cross-covariance times the count: sum of (small - mean)^T (large - mean). [w_S, w_L]"""
        return self.cross - torch.outer(self.small, self.large) / self.count

    def tensors(self, site: str) -> dict[str, Tensor]:
        """As named tensors, for a safetensors file."""
        count = torch.tensor(self.count, dtype=torch.int64)
        sums = {"small": self.small.cpu(), "large": self.large.cpu(), "cross": self.cross.cpu()}
        return {f"{site}.count": count} | {f"{site}.{name}": tensor for name, tensor in sums.items()}


def moments(statistics: Mapping[str, Tensor], site: str, small: int, large: int) -> CrossMoments:
    """Read back one site, which should be [small, large] wide; raises ValueError naming what is not as it should be."""
    expected = {"count": (), "small": (small,), "large": (large,), "cross": (small, large)}
    for name, size in expected.items():
        tensor = statistics.get(f"{site}.{name}")
        if tensor is None:
            raise ValueError(f"statistics: {site}.{name} is missing; calibrate this pair of models again")
        if tuple(tensor.shape) != size:
            raise ValueError(f"statistics: {site}.{name} has shape {list(tensor.shape)}, not {list(size)}")
    read = {name: statistics[f"{site}.{name}"] for name in expected}
    return CrossMoments(int(read["count"]), read["small"].double(), read["large"].double(), read["cross"].double())


@torch.no_grad()
def calibrate(
    small: BertModel,
    large: BertModel,
    depth_map: tuple[int, ...],
    batches: Iterable[Mapping[str, Tensor]],
    progress: Callable[[int], None] | None = None,
) -> dict[str, Tensor]:
    """Run both encoders on the same batches and sum the moments of every site of every mapped pair of layers.

    Returns for every site (see `graft.merging.architecture`; layers counted in the small model) `<site>.count`,
    `.small` [w_S], `.large` [w_L] and `.cross` [w_S, w_L], float64 on the CPU. Padding counts nowhere, and only one
    batch's activations are held at a time. `progress` is called with each batch's number of examples.
    Raises ValueError for unequal vocabularies, a model in training mode, a wrong depth map, or no batches.
    """
    _check(small, large, depth_map)
    sums: dict[str, CrossMoments] = {}
    for batch in batches:
        seen_small = _activations(small, {f"layer.{m}": m for m in range(len(depth_map))}, batch)
        seen_large = _activations(large, {f"layer.{m}": g for m, g in enumerate(depth_map)}, batch)
        for site, activations in seen_small.items():
            new = CrossMoments.of(activations, seen_large[site].to(activations.device))
            if site in sums:
                sums[site] += new
            else:
                sums[site] = new
        if progress:
            progress(len(batch["input_ids"]))
    if not sums:
        raise ValueError("calibration got no batches; give at least one text")
    return {name: tensor for site, moment in sums.items() for name, tensor in moment.tensors(site).items()}


def _check(small: BertModel, large: BertModel, depth_map: tuple[int, ...]) -> None:
    sizes = small.config.vocab_size, large.config.vocab_size
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"the small model's vocabulary has {sizes[0]} tokens and the large one's {sizes[1]}; merging from "
            "activations needs two models with one vocabulary"
        )
    for name, model in (("small", small), ("large", large)):
        if model.training:
            raise ValueError(f"the {name} model is in training mode, where drop-out disturbs activations; call eval()")
    check_depth_map(depth_map, small.config.num_hidden_layers, large.config.num_hidden_layers)


def _activations(model: BertModel, layers: Mapping[str, int], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Activations [non-padding tokens, width] at every site of some layers; `layers` gives each its sites' prefix."""
    inputs = {name: batch[name].to(model.device) for name in INPUTS}
    seen: dict[str, Tensor] = {}
    with ExitStack() as stack:
        stack.enter_context(_watched(model.embeddings, seen, None, EMBEDDINGS))
        for prefix, layer in layers.items():
            for linear, (site_in, site_out) in LINEARS.items():
                module = model.get_submodule(layer_prefix(layer) + linear)
                stack.enter_context(_watched(module, seen, f"{prefix}.{site_in}", f"{prefix}.{site_out}"))
        model(**inputs)
    real = inputs["attention_mask"].bool()
    return {site: activations[real] for site, activations in seen.items()}


@contextmanager
def _watched(module: nn.Module, seen: dict[str, Tensor], site_in: str | None, site_out: str) -> Iterator[None]:
    """Keep the module's input and output in `seen` under the names of their sites."""

    def keep(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if site_in is not None:
            seen[site_in] = inputs[0]
        seen[site_out] = output

    handle = module.register_forward_hook(keep)
    try:
        yield
    finally:
        handle.remove()
