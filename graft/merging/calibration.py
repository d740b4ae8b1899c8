"""Running a small and a large encoder on the same tokens and summing the moments of their activations."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from transformers import BertModel

from graft.merging.alignment import depth
from graft.merging.alignment.depth import DepthMap
from graft.merging.architecture import (
    BLOCK_OUT,
    EMBEDDING_NORM,
    EMBEDDINGS,
    GRAM_SITES,
    LINEARS,
    NORMS,
    layer_prefix,
    site_name,
)
from graft.merging.moments import Moments

INPUTS = ("input_ids", "attention_mask", "token_type_ids")


@torch.no_grad()
def calibrate(
    small: BertModel,
    large: BertModel,
    depth_map: DepthMap,
    batches: Iterable[Mapping[str, Tensor]],
    progress: Callable[[int], None] | None = None,
) -> dict[str, Tensor]:
    """Run both encoders on the same batches and sum the moments of every site of every mapped pair of layers.

    Returns `graft.merging.moments.Moments` as float64 tensors on the CPU, by site (`architecture.site_name`); Gram
    matrices at GRAM_SITES only; and for every LayerNorm `<site>.spread` [2]: the mean over tokens of its input's
    standard deviation over units, in the small and in the large model. Padding counts nowhere, and only one batch's
    activations are held at a time. `progress` is called with each batch's number of examples.
    Raises ValueError for unequal vocabularies, a model in training mode, a wrong depth map, no batches, or activations
    that are not finite.
    """
    _check(small, large)
    depth.check(depth_map, small.config.num_hidden_layers, large.config.num_hidden_layers)
    sums: dict[str, Moments] = {}
    spreads: dict[str, Tensor] = {}
    for batch in batches:
        seen_small, spread_small = _activations(small, {m for m, _ in depth_map}, batch)
        seen_large, spread_large = _activations(large, {g for _, g in depth_map}, batch)
        for name, in_small, in_large in _sites(depth_map):
            grams = name == EMBEDDINGS or in_small[1] in GRAM_SITES
            new = Moments.of(seen_small[in_small], seen_large[in_large], grams)
            sums[name] = sums[name] + new if name in sums else new
            if in_small in spread_small:
                new_spread = torch.stack([spread_small[in_small], spread_large[in_large].to(spread_small[in_small])])
                spreads[name] = spreads[name] + new_spread if name in spreads else new_spread
        if progress:
            progress(len(batch["input_ids"]))
    if not sums:
        raise ValueError("calibration got no batches; give at least one text")
    for name, moment in sums.items():
        if not torch.isfinite(moment.cross).all():
            raise ValueError(f"calibration: activations at {name} are not finite; one of the two models is damaged")
    named = {f"{name}.spread": (spread / sums[name].count).cpu() for name, spread in spreads.items()}
    return named | {name: tensor for site, moment in sums.items() for name, tensor in moment.tensors(site).items()}


# Where activations are seen in one model: (layer, site); the embeddings' output stands before the first layer.
Place = tuple[int, str]


def _sites(depth_map: DepthMap) -> Iterator[tuple[str, Place, Place]]:
    """Name of every pair of sites, and where each is seen."""
    yield EMBEDDINGS, (-1, EMBEDDINGS), (-1, EMBEDDINGS)
    sites = dict.fromkeys([site for ends in LINEARS.values() for site in ends] + [BLOCK_OUT])
    for m, g in depth_map:
        for site in sites:
            yield site_name(m, g, site), (m, site), (g, site)


def _check(small: BertModel, large: BertModel) -> None:
    sizes = small.config.vocab_size, large.config.vocab_size
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"the small model's vocabulary has {sizes[0]} tokens and the large one's {sizes[1]}; merging from "
            "activations needs two models with one vocabulary"
        )
    for name, model in (("small", small), ("large", large)):
        if model.training:
            raise ValueError(f"the {name} model is in training mode, where drop-out disturbs activations; call eval()")


def _activations(
    model: BertModel, layers: Iterable[int], batch: Mapping[str, Tensor]
) -> tuple[dict[Place, Tensor], dict[Place, Tensor]]:
    """Activations [real tokens, width] at the embeddings and at every site of some layers, and the summed standard
    deviations of what LayerNorms read, by the site that they make."""
    inputs = {name: batch[name].to(model.device) for name in INPUTS}
    real = inputs["attention_mask"].bool()
    seen: dict[Place, Tensor] = {}
    spreads: dict[Place, Tensor] = {}
    with ExitStack() as stack:

        def watch(module: str, place_in: Place | None, place_out: Place) -> None:
            def keep(_: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
                if place_in is not None and place_in not in seen:
                    seen[place_in] = given[0][real]
                seen[place_out] = made[real]

            stack.callback(model.get_submodule(module).register_forward_hook(keep).remove)

        def watch_spread(norm: str, place: Place) -> None:
            def keep(_: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
                spreads[place] = given[0][real].double().std(1, correction=0).sum()

            stack.callback(model.get_submodule(norm).register_forward_hook(keep).remove)

        watch("embeddings", None, (-1, EMBEDDINGS))
        watch_spread(EMBEDDING_NORM, (-1, EMBEDDINGS))
        for layer in layers:
            for linear, (site_in, site_out) in LINEARS.items():
                watch(layer_prefix(layer) + linear, (layer, site_in), (layer, site_out))
            watch(f"{layer_prefix(layer)}output", None, (layer, BLOCK_OUT))
            for norm, site in NORMS.items():
                watch_spread(layer_prefix(layer) + norm, (layer, site))
        model(**inputs)
    return seen, spreads
