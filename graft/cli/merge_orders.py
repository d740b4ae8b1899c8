"""The order for a `merge` of two shapes, and the plan made from it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graft.merging.facts import TwoShapes
from graft.registry import depth
from graft.registry.shapes import Shape
from graft.reporting import formats, terminal
from graft.reporting.fitting import Prose

# Ridge sizes of a head to try; the best one on every fifth row, held out, is taken.
RIDGE = (1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)


@dataclass(frozen=True)
class Order:
    """Models to merge, and settings. `labelled`: a TSV for the labelled head; `tokens`: how many to calibrate on."""

    method: str
    large: Path
    small_finetuned: Path
    small_pretrained: Path | None
    text: Path
    out: Path
    head: str = "transplant"
    strength: float = 1.0
    labelled: Path | None = None
    options: dict[str, Any] | None = None
    tokens: int = 50_000
    max_tokens: int = 128
    device: str = "cpu"


@dataclass(frozen=True)
class Plan:
    """A merge before anything is written: shapes, depth map, options and FLOPs."""

    large: Shape
    small: Shape
    depth_map: depth.DepthMap
    options: TwoShapes
    texts: int
    tokens: int
    flops: dict[str, int]
    spans: int = 0
    """Number of spans, where the vocabularies differ."""


def summary(plan: Plan) -> list[terminal.Part]:
    """Show what a merge of two folders does: shapes, layers, options and FLOPs."""
    sizes = [(n, getattr(plan.small, n), getattr(plan.large, n)) for n in ("layers", "width", "ffn", "heads")]
    layers = ", ".join(f"{m} → {g}" for m, g in plan.depth_map)
    options = ", ".join(f"{name} {value}" for name, value in plan.options.values().items() if name != "strengths")
    flops = ", ".join(f"{part} {formats.flops(count)}" for part, count in plan.flops.items())
    return [
        terminal.plain_table(("spaces", "small", "large"), sizes),
        *([Prose(f"layers, counted from 0: {layers}")] if layers else []),
        Prose(f"options: {options}"),
        Prose(f"text: {plan.texts} texts, {plan.tokens} tokens" + f", {plan.spans} spans" * (plan.spans > 0)),
        Prose(f"FLOPs: {flops}"),
    ]
