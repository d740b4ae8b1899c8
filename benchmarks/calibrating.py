"""What calibrating BERT-base with TinyBERT-4L takes: time as a multiple of the two forward passes alone, and memory.

Random weights of the two shapes on random texts: neither time nor memory depends on what they say. Each depth map runs
in a process of its own, so that its peak memory is its own.

    python -m benchmarks.calibrating [TOKENS] [DEPTH ...]
"""

import multiprocessing
import resource
import sys
import time

import torch
from rich.console import Console
from rich.table import Table

from graft.encoders.models import config_of
from graft.encoders.network import Encoder
from graft.flops.counts import encoder_flops, moments_flops
from graft.merging.calibration import calibrate
from graft.registry import depth
from graft.registry.shapes import Shape

SMALL = Shape(layers=4, width=312, heads=12, ffn=1200, vocabulary=30522)
LARGE = Shape(layers=12, width=768, heads=12, ffn=3072, vocabulary=30522)
ROWS, LENGTH = 32, 128


def texts(tokens: int) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(-(-tokens // (ROWS * LENGTH))):
        ids = torch.randint(1000, SMALL.vocabulary, (ROWS, LENGTH), generator=generator)
        batches.append(
            {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
        )
    return batches


@torch.no_grad()
def measure(name: str, tokens: int) -> tuple[float, float, float]:
    """Seconds of the passes alone and of the calibration, and peak memory in GB."""
    small, large = (Encoder(config_of(shape)).eval() for shape in (SMALL, LARGE))
    batches = texts(tokens)
    started = time.perf_counter()
    for batch in batches:
        small(**batch)
        large(**batch)
    passes = time.perf_counter() - started
    depth_map = depth.named(name, SMALL.layers, LARGE.layers, ())
    started = time.perf_counter()
    calibrate(small, large, depth_map, batches)
    seconds = time.perf_counter() - started
    return passes, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def main() -> None:
    tokens = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    names = sys.argv[2:] or ("uniform", "spread")
    table = Table("depth", "passes alone", "calibrate", "ratio", "ratio of FLOPs", "peak memory")
    for name in names:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            passes, seconds, memory = pool.apply(measure, (name, tokens))
        pairs = depth.pairs(name, SMALL.layers, LARGE.layers)
        alone = encoder_flops(SMALL, LENGTH) + encoder_flops(LARGE, LENGTH)
        flops = 1 + moments_flops(SMALL, LARGE, pairs, LENGTH) / alone
        row = f"{passes:.0f} s", f"{seconds:.0f} s", f"{seconds / passes:.2f}", f"{flops:.2f}", f"{memory:.2f} GB"
        table.add_row(name, *row)
    Console().print(f"{tokens} tokens, {torch.get_num_threads()} threads", table)


if __name__ == "__main__":
    main()
