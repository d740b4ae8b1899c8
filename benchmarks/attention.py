"""Training speed of a MiniLM-shaped classifier on this CPU: eager attention against torch's fused one (sdpa).

    python -m benchmarks.attention

Random weights, bf16 autocast where the CPU computes in it, one thread; both in turn, medians of five rounds.
"""

import statistics
import time
from pathlib import Path

import torch

from graft.encoders.models import config_of, set_labels
from graft.encoders.network import Classifier, set_attention
from graft.registry.shapes import Shape

ROUNDS = 5
SHAPES = ((20, 32), (80, 16))  # tokens, batch: about SST-2 and RTE


def seconds(model: Classifier, tokens: int, batch: int, bf16: bool) -> float:
    """Of one forward and backward pass."""
    ids = torch.randint(1000, 20000, (batch, tokens))
    labels = torch.randint(0, 2, (batch,))
    started = time.perf_counter()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss
    loss.backward()
    return time.perf_counter() - started


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    bf16 = "avx512_bf16" in Path("/proc/cpuinfo").read_text()
    config = config_of(Shape(layers=6, width=384, heads=12, ffn=1536, vocabulary=30522))
    set_labels(config, ("no", "yes"))
    model = Classifier(config).train()
    for tokens, batch in SHAPES:
        times: dict[str, list[float]] = {"sdpa": [], "eager": []}
        for _ in range(ROUNDS + 1):
            for name, found in times.items():
                set_attention(model, name)
                found.append(seconds(model, tokens, batch, bf16))
        speed = {name: batch / statistics.median(found[1:]) for name, found in times.items()}
        print(
            f"{tokens} tokens, batch {batch}, {'bf16' if bf16 else 'fp32'}: sdpa {speed['sdpa']:.1f} examples/s, "
            f"eager {speed['eager']:.1f}, ratio {speed['eager'] / speed['sdpa']:.2f}"
        )


if __name__ == "__main__":
    main()
