"""The model card and the provenance of a merge of models of one shape."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graft import files, provenance
from graft.merging.card import CARD, PROVENANCE, UNTRIED, metadata, origins_of, page, table_of, warned

if TYPE_CHECKING:
    from graft.merging.homogeneous.folders import Plan

# What the hub calls a model's task, by the ending of its class.
TASKS = {"ForSequenceClassification": "text-classification", "ForMaskedLM": "fill-mask"}


def write(folder: Path, plan: Plan, config: Mapping[str, Any], digests: Mapping[Path, str]) -> None:
    """Write README.md with the hub's metadata, and graft.json: what was merged, from which bytes, how, with what.

    config: the merged model's; digests: sha256 of every file that was read.
    """
    sources = {role: _source(place, found, digests) for role, (place, found) in plan.sources.items()}
    made = {
        "method": plan.facts.name,
        "citation": plan.facts.citation,
        "strength": plan.strength,
        "weights": list(plan.weights),
        "options": plan.options,
        "sources": sources,
        "dtype": plan.dtype,
        "device": plan.device,
        "parameters": plan.parameters,
        "code_version": provenance.code_version(),
        "packages": provenance.packages(),
        "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    files.write_json(folder / PROVENANCE, made)
    (folder / CARD).write_text(text(plan, config, sources))


def text(plan: Plan, config: Mapping[str, Any], sources: Mapping[str, Any], record: str = f"`{PROVENANCE}`") -> str:
    """The README.md of a merged model; `record`: where all about its making stands."""
    origins = origins_of(sources)
    kind = next((task for name in config.get("architectures") or () for end, task in TASKS.items() if end in name), "")
    weights = f", weights {', '.join(f'{weight:g}' for weight in plan.weights)}" if plan.facts.weighted else ""
    told = "".join(f", {name} {value}" for name, value in plan.options.items())
    return page(
        metadata(plan.facts.name, origins, pipeline_tag=kind),
        f"# A {plan.facts.name} merge",
        warned(origins),
        f"{len(plan.weights)} models of one shape were merged by `{plan.facts.name}` (strength {plan.strength:g}"
        f"{weights}{told}). Source of the method: {plan.facts.citation}.",
        table_of(sources),
        f"All about its making stands in {record}. {UNTRIED} each of its models before you use it.",
    )


def _source(place: Path, found: tuple[Path, ...], digests: Mapping[Path, str]) -> dict[str, Any]:
    return {"folder": str(place), "sha256": {file.name: digests[file] for file in found}}
