"""The model card and the provenance of a merged model, beside its weights."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graft import files, provenance
from graft.merging.registry import MethodFacts

if TYPE_CHECKING:
    from graft.merging.folders import Order, Plan

PROVENANCE = "graft.json"


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
    (folder / "README.md").write_text(_text(facts, made))


def _weights(folder: Path) -> str:
    return next(
        files.sha256(folder / name) for name in ("model.safetensors", "pytorch_model.bin") if (folder / name).is_file()
    )


def _text(facts: MethodFacts, made: dict[str, Any]) -> str:
    sources = made["sources"]
    rows = "\n".join(f"| {role} | `{of['folder']}` | `{of['sha256'][:16]}` |" for role, of in sources.items())
    options = ", ".join(f"{name} {value}" for name, value in made["options"].items() if name != "strengths")
    head = f" Its head is fitted: {made['head']}." if made["head"] else ""
    return f"""---
library_name: transformers
pipeline_tag: text-classification
tags: [merge, graft, {facts.name}]
---
# A {facts.name} merge

A fine-tuned small model was merged into a pre-trained large one by `{facts.name}` at strength {made["strength"]:g}
({options}).{head} Source of the method: {facts.citation}.

| part | folder | sha256 |
|---|---|---|
{rows}

It loads with `AutoModelForSequenceClassification.from_pretrained`. All about its making stands in `{PROVENANCE}`.
It was not evaluated when it was made: compare it with the fine-tuned models and with the head alone before you use it.
"""
