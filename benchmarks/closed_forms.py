"""What the closed forms of merging TinyBERT-4L into BERT-base take: time, memory, and how far they are from peak.

Random weights of the two shapes, and moments of related random activations: neither time nor memory depends on what
they say. Each method has a process of its own, so that its peak memory is its own. Printed, for one thread unless more
are asked for: processor seconds of the maps between the two pre-trained models, of `prepare` given these, and of one
strength; the seconds that all their FLOPs would take as products of large float64 matrices, timed in the same process,
and these as a share of the former (passes of models are in float32, which is faster); by what factor ten controls,
heads or seeds that share the maps take less than if each fitted its own; the memory of the maps; and the peak memory.

    python -m benchmarks.closed_forms [--tokens 2000] [--threads 1] [--layers 6] [METHOD ...]

BERT-base has 12 layers, and functional reads 10,000 tokens: `--layers 12 --tokens 10000`, which takes minutes.
"""

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.calibrating import LARGE, SMALL, texts
from graft.encoders.architecture import EMBEDDINGS, LINEARS, NORMS, body_shapes, site_name
from graft.merging.moments import Moments
from graft.merging.protocol import Parts
from graft.registry import depth, methods
from graft.registry.depth import DepthMap
from graft.registry.shapes import Shape

# With the options of config.yaml.
OPTIONS: dict[str, dict[str, Any]] = {
    "theseus": {},
    "spacewise": {"map_ridge": 0.1, "depth": "spread"},
    "functional": {"map_ridge": 0.03, "fit_ridge": 0.1},
    "ot_fusion": {},
    "grow": {},
}
SHARING = 10
Made = TypeVar("Made")


class Measured(NamedTuple):
    """Seconds of the three parts, those that products would take at peak, and GB: of the maps, and at most."""

    maps: float
    prepare: float
    strength: float
    peak: float
    map_gb: float
    gb: float


def random_body(shape: Shape, seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    body = {name: 0.05 * torch.randn(size, generator=generator) for name, size in body_shapes(shape).items()}
    return {name: t + 1 if name.endswith("LayerNorm.weight") else t for name, t in body.items()}


def random_moments(large: Shape, depth_map: DepthMap) -> dict[str, torch.Tensor]:
    """The same moments at every site of one width, of activations that are linearly related."""
    found, generator = {}, torch.Generator().manual_seed(0)
    for narrow, wide in ((SMALL.width, large.width), (SMALL.ffn, large.ffn)):
        seen, noise = (torch.randn(2 * wide, units, generator=generator) for units in (narrow, wide))
        found[narrow] = Moments.of(seen, seen @ torch.randn(narrow, wide, generator=generator) + noise, grams=True)
    named = found[SMALL.width].tensors(EMBEDDINGS) | {f"{EMBEDDINGS}.spread": torch.ones(2)}
    for m, g in depth_map:
        for site in {site for sites in LINEARS.values() for site in sites} | set(NORMS.values()):
            width = SMALL.ffn if site in ("ffn", "intermediate.out") else SMALL.width
            named |= found[width].tensors(site_name(m, g, site)) | {f"{site_name(m, g, site)}.spread": torch.ones(2)}
    return named


def timed(make: Callable[[], Made]) -> tuple[Made, float]:
    started = time.process_time()
    return make(), time.process_time() - started


def rate() -> float:
    """FLOPs per second of products of large float64 matrices."""
    one = torch.randn(2048, 2048, dtype=torch.float64)
    return 2 * len(one) ** 3 / min(timed(lambda: one @ one)[1] for _ in range(5))


def bytes_of(value: object, known: set[int]) -> int:
    """Bytes of the tensors in nested records, each storage once."""
    if isinstance(value, torch.Tensor):
        storage = value.untyped_storage()
        new = storage.data_ptr() not in known
        known.add(storage.data_ptr())
        return new * storage.nbytes()
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else None
    inner = vars(value).values() if inner is None and hasattr(value, "__dict__") else inner
    return sum(bytes_of(one, known) for one in inner or ())


def measure(method: str, layers: int, tokens: int, threads: int) -> Measured:
    torch.set_num_threads(threads)
    large = replace(LARGE, layers=layers)
    options = methods.checked_options(method, OPTIONS[method])
    depth_map = depth.named(options.depth, SMALL.layers, layers, ())
    moments = random_moments(large, depth_map) if options.needs_calibration else None
    batches = texts(min(tokens, options.text_tokens)) if "texts" in options.needs else ()
    small = random_body(SMALL, 0)
    tuned = {name: tensor + 0.01 * torch.randn_like(tensor) for name, tensor in small.items()}
    parts = Parts(random_body(large, 1), tuned, small, large, SMALL, depth_map, moments, options, batches)
    peak = rate()
    merger = methods.implementation(method)()
    maps, fitting = timed(lambda: merger.fit_maps(parts))
    state, preparing = timed(lambda: merger.prepare(parts, maps))
    _, adding = timed(lambda: merger.apply(state, 1.0))
    cost = options.flops(SMALL, large, sum(int(batch["attention_mask"].sum()) for batch in batches))
    # Maps share the moments with the parts: what they hold beside them.
    known: set[int] = set()
    bytes_of(moments, known)
    held = bytes_of(maps, known)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return Measured(fitting, preparing, adding, (cost.prepare + cost.apply) / peak, held / 1e9, memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("methods", nargs="*", metavar="METHOD", help=", ".join(OPTIONS))
    parser.add_argument("--tokens", type=int, default=2000, help="that functional reads")
    parser.add_argument("--layers", type=int, default=6, help="of the large model")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    columns = "method", "maps", "prepare", "strength", "at peak", "share", f"{SHARING} share", "maps", "peak"
    table = Table(*columns)
    for method in args.methods or OPTIONS:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            one = pool.apply(measure, (method, args.layers, args.tokens, args.threads))
        spent = one.maps + one.prepare + one.strength
        saved = SHARING * (one.maps + one.prepare) / (one.maps + SHARING * one.prepare)
        seconds = (f"{value:.1f} s" for value in (one.maps, one.prepare, one.strength, one.peak))
        table.add_row(
            method, *seconds, f"{one.peak / spent:.2f}", f"x{saved:.1f}", f"{one.map_gb:.2f} GB", f"{one.gb:.2f} GB"
        )
    Console(width=100).print(f"{args.layers} layers, {args.tokens} tokens, {args.threads} threads", table)


if __name__ == "__main__":
    main()
