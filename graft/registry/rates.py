"""Measured rates of machines, by kind of work and by width of the model. Imports no torch.

A narrow model leaves most of a machine idle, so each rate belongs to a width.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from graft.io import files
from graft.registry.gpus import Gpu, gpu


@dataclass(frozen=True)
class Rates:
    """Rates of a machine, and how they are known.

    `flops`: FLOP/s by kind of work ("training bf16", "training fp32", "inference", "closed form") and width; `saving`:
    bytes per second of a model that is written and hashed; `device`: "cpu" or "cuda".
    """

    machine: str
    device: str
    source: str
    flops: Mapping[str, Mapping[int, float]]
    saving: float

    def seconds(self, flops: float, kind: str, width: int) -> float:
        """Time that FLOPs take with a model of this width: by powers between and below measured widths."""
        known = self.flops.get(kind) or next(rates for name, rates in self.flops.items() if name[:8] == kind[:8])
        measured = sorted(known.items())
        (low, slow), (high, fast) = measured[0], measured[-1]
        for one, other in zip(measured, measured[1:], strict=False):
            (low, slow), (high, fast) = one, other
            if width <= high:
                break
        power = math.log(fast / slow) / math.log(high / low) if high > low else 0.0
        return flops / (slow * (min(width, high) / low) ** power)

    def of_threads(self, threads: int) -> Rates:
        """Those of a process with several threads instead of one: on a CPU, as many times as fast."""
        faster = {kind: {width: threads * rate for width, rate in rates.items()} for kind, rates in self.flops.items()}
        return replace(self, flops=faster) if self.device == "cpu" else self

    def write(self, path: Path) -> None:
        files.write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Rates:
        """Read what `write` wrote; raises ValueError for another file."""
        try:
            values = files.read_json(path)
            values["flops"] = {
                kind: {int(width): float(rate) for width, rate in rates.items()}
                for kind, rates in values["flops"].items()
            }
            return cls(**values)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: not what `plan --measure` writes ({error}); delete it") from None


# One core of an AMD EPYC (Zen 5, AVX-512 BF16), and saving on its disk: `python -m graft plan --measure`. Padding that
# training leaves out is not counted.
CPU = Rates(
    "one core of a CPU",
    "cpu",
    "measured on a core of an AMD EPYC of the fifth generation, which computes in bf16",
    {
        "training bf16": {128: 4.8e10, 192: 8.6e10, 312: 1.45e11, 384: 1.94e11, 768: 2.3e11},
        "training fp32": {128: 3.5e10, 192: 5.5e10, 384: 8.1e10, 768: 8.6e10},
        "inference": {128: 6.5e10, 192: 7.4e10, 312: 9.1e10, 384: 9.2e10, 768: 1.0e11},
        "closed form": {128: 2.6e10, 192: 3.6e10, 312: 4.5e10, 384: 4.8e10, 768: 5.5e10},
    },
    0.8e9,
)
# One NVIDIA H200 (docs/results.md, "Fine-tuning"): BERT-base's and MiniLM's shapes in batches of 32 sentences; in fp32,
# Hugging Face's Trainer padded to 128. Inference and closed forms were not measured: what inference's kernels take to
# start, about 12 ms a batch of BERT-base, and a tenth of the peak in fp64, since the matrices are small.
_H200 = {
    "training bf16": {384: 6.7e12, 768: 26.8e12},
    "training fp32": {384: 7.9e12, 768: 26e12},
    "inference": {384: 2.6e12, 768: 10e12},
    "closed form": {384: 2e12, 768: 6.7e12},
}


def of_gpu(name: str) -> Rates:
    """Rates of a GPU: as measured, or at the same share of its peak as the one that was; raises ValueError."""
    wanted, measured = gpu(name), gpu("h200")
    source = "training measured on an H200 in batches of 32 sentences (longer texts are faster), the rest estimated"
    if wanted != measured:
        source += f"; the {name} was not measured: at the same shares of its peak"
    flops = {
        kind: {width: rate * _peak(wanted, kind) / _peak(measured, kind) for width, rate in rates.items()}
        for kind, rates in _H200.items()
    }
    return Rates(name, "cuda", source, flops, CPU.saving)


def _peak(one: Gpu, kind: str) -> float:
    return {"training bf16": one.bf16, "closed form": one.fp64}.get(kind, one.fp32)
