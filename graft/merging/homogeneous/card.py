"""The model card and the provenance of a merge of models of one shape."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from graft.compute import provenance
from graft.encoders import adapters
from graft.io import files
from graft.merging.card import CARD, PROVENANCE, UNTRIED, metadata, origins_of, page, table_of, warned
from graft.merging.homogeneous.orders import Plan

# The hub's name for a model's task, by the suffix of its class name.
TASKS = {"ForSequenceClassification": "text-classification", "ForMaskedLM": "fill-mask"}


def write(
    folder: Path, plan: Plan, config: Mapping[str, Any], digests: Mapping[Path, str], embeds: bool = False
) -> None:
    """Write README.md with the hub's metadata, and graft.json with the merge's sources, settings and software.

    config: the merged model's; digests: sha256 of every file that was read; embeds: whether the folder holds a
    sentence-transformers model.
    """
    sources = {
        role: {"folder": adapters.named(place), "sha256": {file.name: digests[file] for file in found}}
        for role, (place, found) in plan.sources.items()
    }
    made = {
        "method": plan.options.name,
        "citation": plan.options.citation,
        "strength": plan.strength,
        "weights": list(plan.weights),
        "options": plan.options.values(),
        "sources": sources,
        "averaged": list(plan.averaged),
        "tied": [list(names) for names in plan.tied],
        "left_out": list(plan.left_out),
        "head": plan.head or "merged",
        "dtype": plan.dtype,
        "device": plan.device,
        "parameters": plan.parameters,
        "code_version": provenance.code_version(),
        "packages": provenance.packages(),
        "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    files.write_json(folder / PROVENANCE, made)
    (folder / CARD).write_text(text(plan, config, sources, embeds=embeds))


def text(
    plan: Plan,
    config: Mapping[str, Any],
    sources: Mapping[str, Any],
    record: str = f"`{PROVENANCE}`",
    embeds: bool = False,
) -> str:
    """Render the README.md of a merged model; `record` names where its full provenance is recorded."""
    origins = origins_of(sources)
    kind = next((task for name in config.get("architectures") or () for end, task in TASKS.items() if end in name), "")
    weights = f", weights {', '.join(f'{weight:g}' for weight in plan.weights)}" if plan.options.weighted else ""
    options = "".join(f", {name} {value}" for name, value in plan.options.values().items())
    hub: dict[str, Any] = {"pipeline_tag": kind}
    if embeds:
        hub = {"library_name": "sentence-transformers", "pipeline_tag": "sentence-similarity"}
    return page(
        metadata(plan.options.name, origins, **hub),
        f"# A {plan.options.name} merge",
        warned(origins),
        f"{len(plan.weights)} models of one shape were merged by `{plan.options.name}` (strength {plan.strength:g}"
        f"{weights}{options}). Source of the method: {plan.options.citation}.",
        table_of(sources),
        *_notes(plan),
        f"Its full provenance is in {record}. {UNTRIED} each of its models before you use it.",
    )


def _notes(plan: Plan) -> list[str]:
    """List the tensors that the method did not merge, one line for each reason."""

    def listed(names: Iterable[str]) -> str:
        return ", ".join(f"`{name}`" for name in names)

    notes = []
    if plan.averaged:
        notes.append(f"The base lacks {listed(plan.averaged)}: the weighted average of the models'.")
    if plan.tied:
        notes.append(f"One tensor, merged once: {'; '.join(map(listed, plan.tied))}.")
    if plan.head:
        notes.append(f"Head: {plan.head}.")
    if plan.left_out:
        notes.append(f"Left out, {plan.why_left_out}: {listed(plan.left_out)}.")
    return notes
