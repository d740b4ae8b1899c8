"""The model card and the provenance of a merged model, beside its weights."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graft import files, provenance
from graft.merging.registry import MethodFacts

if TYPE_CHECKING:
    from graft.merging.folders import Order, Plan

PROVENANCE = "graft.json"
CARD = "README.md"


@dataclass(frozen=True)
class Source:
    """Where a model that was merged came from, and its weights' sha256."""

    place: str
    sha256: str


def write(folder: Path, facts: MethodFacts, order: Order, plan: Plan, diagnostics: dict[str, float]) -> None:
    """Write README.md with the hub's metadata, and graft.json: what was merged, from which bytes, how, with what."""
    sources = {
        "large": order.large,
        "small_finetuned": order.small_finetuned,
        "small_pretrained": order.small_pretrained,
    }
    made = {
        "method": facts.name,
        "citation": facts.citation,
        "strength": order.strength,
        "head": order.head if facts.heads else None,
        "options": plan.options,
        "depth_map": [list(pair) for pair in plan.depth_map] if facts.heads else None,
        "shapes": {"large": dataclasses.asdict(plan.large), "small": dataclasses.asdict(plan.small)},
        "sources": {role: {"folder": str(path), "sha256": _weights(path)} for role, path in sources.items()},
        "text": {
            "file": str(order.text),
            "sha256": files.sha256(order.text),
            "texts": plan.texts,
            "tokens": plan.tokens,
        },
        "labelled": {"file": str(order.labelled), "sha256": files.sha256(order.labelled)} if order.labelled else None,
        "max_tokens": order.max_tokens,
        "device": order.device,
        "flops": plan.flops,
        "diagnostics": diagnostics,
        "code_version": provenance.code_version(),
        "packages": provenance.packages(),
        "model_sha256": files.sha256(folder / "model.safetensors"),
        "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    files.write_json(folder / PROVENANCE, made)
    found = {role: Source(str(path), _weights(path)) for role, path in sources.items()}
    (folder / CARD).write_text(text(facts, order.strength, plan.options, made["head"], found))


def _weights(folder: Path) -> str:
    return next(
        files.sha256(folder / name) for name in ("model.safetensors", "pytorch_model.bin") if (folder / name).is_file()
    )


def text(
    facts: MethodFacts, strength: float, options: Mapping[str, Any], head: str | None, sources: Mapping[str, Source]
) -> str:
    """The README.md of a merged model, with the hub's metadata; sources: by role."""
    rows = "\n".join(f"| {role} | `{source.place}` | `{source.sha256[:16]}` |" for role, source in sources.items())
    listed = ", ".join(f"{name} {value}" for name, value in options.items() if name != "strengths")
    fitted = f" Its head is fitted: {head}." if head else ""
    return f"""---
library_name: transformers
pipeline_tag: text-classification
tags: [merge, graft, {facts.name}]
---
# A {facts.name} merge

A fine-tuned small model was merged into a pre-trained large one by `{facts.name}` at strength {strength:g}
({listed}).{fitted} Source of the method: {facts.citation}.

| part | from | sha256 |
|---|---|---|
{rows}

It loads with `AutoModelForSequenceClassification.from_pretrained`. All about its making stands in `{PROVENANCE}`, or in
the `build.json` of its study. It was not evaluated when it was made: compare it with the fine-tuned models and with the
head alone before you use it.
"""
