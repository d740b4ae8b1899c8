"""Run a small and a large encoder on the same texts, and sum the moments of their activations."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from graft.encoders.architecture import (
    BLOCK_OUT,
    EMBEDDING_NORM,
    EMBEDDINGS,
    GRAM_SITES,
    NORMS,
    is_finite,
    layer_prefix,
    linears,
    norm_at,
    site_name,
)
from graft.encoders.network import Encoder
from graft.encoders.spans import read_by, span_states
from graft.merging.moments import Moments
from graft.registry import depth
from graft.registry.depth import DepthMap
from graft.registry.shapes import Shape
from graft.tasks.spans import SPANS

# Tokens per forward pass, limited since all of the small model's activations are kept in memory.
PART_TOKENS = 1024
SPREAD = ".spread"
# A place of activations in a model: (layer, site); the embeddings' output has layer -1.
Place = tuple[int, str]


@torch.no_grad()
def calibrate(
    small: Encoder,
    large: Encoder,
    depth_map: DepthMap,
    batches: Iterable[Mapping[str, Tensor]],
    progress: Callable[[int], None] | None = None,
) -> dict[str, Tensor]:
    """Run both encoders on the same batches and sum the moments of every site of every mapped pair of layers.

    Returns `graft.merging.moments.Moments` as float64 tensors on the CPU, by site (`architecture.site_name`); Gram
    matrices at GRAM_SITES only; and for every LayerNorm `<site>.spread` [2]: the mean over tokens of its input's
    standard deviation over units, in the small and in the large model. Padding is left out; in batches of a PairedSplit
    a token is a span. For PART_TOKENS tokens at a time, all of the small model's activations are in memory, and the
    large one's at one site. `progress` is called with each batch's number of examples.
    Raises ValueError if the vocabularies differ, but batches give both models the same tokens, a model is in training
    mode, the depth map is wrong, there are no batches, or activations are not finite.
    """
    depth.check(depth_map, small.shape.layers, large.shape.layers)
    sums: dict[str, Moments] = {}
    spreads: dict[str, Tensor] = {}
    for batch in batches:
        _check(small, large, batch)
        for part in _parts(batch):
            _add(small, large, {-1: -1} | {g: m for m, g in depth_map}, part, sums, spreads)
        if progress:
            progress(len(batch["input_ids"]))
    if not sums:
        raise ValueError("calibration got no batches; give at least one text")
    for name, moment in sums.items():
        if not is_finite(moment.cross):
            raise ValueError(f"calibration: activations at {name} are not finite; one of the two models is damaged")
    found = {name: spread / sums[name.removesuffix(SPREAD)].count for name, spread in spreads.items()}
    for site, moment in sums.items():
        found |= moment.tensors(site)
    return {name: tensor.cpu() for name, tensor in found.items()}


def check_tokens(tokens: int, large: Shape, where: str) -> None:
    """Raise ValueError if there are fewer tokens than the widest space has units: maps would be underdetermined."""
    if tokens < large.ffn:
        raise ValueError(
            f"{where}: {tokens} tokens are too few; the feed-forward space of the large model needs at least "
            f"{large.ffn}: give more text, or ask for more tokens of it"
        )


def _parts(batch: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Split a batch into parts of at most PART_TOKENS tokens, or of one text."""
    texts, length = batch["input_ids"].shape
    rows = max(1, PART_TOKENS // length)
    for start in range(0, texts, rows):
        yield {name: tensor[start : start + rows] for name, tensor in batch.items()}


def _add(
    small: Encoder,
    large: Encoder,
    source: Mapping[int, int],
    batch: Mapping[str, Tensor],
    sums: dict[str, Moments],
    spreads: dict[str, Tensor],
) -> None:
    """Add one batch to the sums and spreads of all sites; `source`: small layer by large layer."""
    seen: dict[Place, Tensor] = {}
    _watch("small", small, source.values(), batch, seen.__setitem__)

    def add(place: Place, in_large: Tensor) -> None:
        layer, site = place
        if (source[layer], site) not in seen:
            return  # the small model has no such layer
        name = site if layer < 0 else site_name(source[layer], layer, site)
        in_small = seen[source[layer], site].to(in_large.device)
        if site.endswith(SPREAD):
            spreads[name] = spreads.get(name, 0) + torch.stack([in_small, in_large])
        elif name in sums:
            sums[name] = sums[name].added(in_small, in_large)
        else:
            sums[name] = Moments.of(in_small, in_large, grams=site == EMBEDDINGS or site in GRAM_SITES)

    _watch("large", large, source, batch, add)


def _check(small: Encoder, large: Encoder, batch: Mapping[str, Tensor]) -> None:
    sizes = small.shape.vocabulary, large.shape.vocabulary
    if sizes[0] != sizes[1] and SPANS not in batch:
        raise ValueError(
            f"the small model's vocabulary has {sizes[0]} tokens and the large one's {sizes[1]}; give each its own "
            "tokens of the texts, as a PairedSplit does"
        )
    for name, model in (("small", small), ("large", large)):
        if model.training:
            raise ValueError(f"the {name} model is in training mode, where drop-out disturbs activations; call eval()")


def _watch(
    role: str,
    model: Encoder,
    layers: Iterable[int],
    batch: Mapping[str, Tensor],
    see: Callable[[Place, Tensor], None],
) -> None:
    """Run a model and pass its activations [spans, width] and LayerNorms' spreads to `see`.

    Activations are those at the embeddings (layer -1) and at every site of `layers`, each once, as they are computed. A
    spread is the sum over spans of the standard deviation of a LayerNorm's input; its place is the LayerNorm's output
    site and SPREAD.
    """
    batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
    own = read_by(role, batch)
    given_away: set[Place] = set()
    with ExitStack() as stack:

        def watch(module: str, place_in: Place | None, place_out: Place) -> None:
            def keep(_: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
                if made.shape[:2] != own["input_ids"].shape:
                    return  # positions, not tokens, which some attention projects too
                # Queries, keys and values share one input.
                if place_in is not None and place_in not in given_away:
                    given_away.add(place_in)
                    see(place_in, span_states(role, given[0], batch))
                see(place_out, span_states(role, made, batch))

            stack.callback(model.get_submodule(module).register_forward_hook(keep).remove)

        def watch_spread(norm: str, layer: int, site: str) -> None:
            def keep(_: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
                spread = given[0].double().std(-1, correction=0)
                see((layer, site + SPREAD), span_states(role, spread, batch).sum())

            stack.callback(model.get_submodule(norm).register_forward_hook(keep).remove)

        watch("embeddings", None, (-1, EMBEDDINGS))
        watch_spread(EMBEDDING_NORM, -1, EMBEDDINGS)
        for layer in set(layers) - {-1}:
            for linear, (site_in, site_out) in linears(model.shape).items():
                watch(layer_prefix(layer) + linear, (layer, site_in), (layer, site_out))
            watch(norm_at(model.shape, layer, BLOCK_OUT), None, (layer, BLOCK_OUT))
            for site in NORMS.values():
                watch_spread(norm_at(model.shape, layer, site), layer, site)
        model(**own)
