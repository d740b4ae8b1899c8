"""The model card and provenance of a small model merged into a large one."""

import dataclasses
import time
from pathlib import Path
from typing import Any

from graft.cli.merge_orders import Order, Plan
from graft.compute import provenance
from graft.encoders import adapters
from graft.io import files
from graft.io.model_folders import open_folder
from graft.merging import card
from graft.merging.composite import manifest


def write(
    folder: Path,
    order: Order,
    plan: Plan,
    diagnostics: dict[str, float],
    choices: list[dict[str, Any]] | None = None,
) -> None:
    """Write README.md with the hub's metadata, and graft.json with the merge's sources, settings and software.

    choices: of a composite, what was chosen on held-out rows, with all that was tried.
    """
    strength = order.strength if choices is None else None
    roles = ("large", "small_finetuned", "small_pretrained")
    sources: dict[str, Path] = {role: getattr(order, role) for role in roles}
    made: dict[str, Any] = {
        "method": plan.options.name,
        "citation": plan.options.citation,
        "strength": strength,
        "head": order.head if plan.options.heads else None,
        "options": plan.options.values(),
        "depth_map": [list(pair) for pair in plan.depth_map] if plan.options.heads else None,
        "shapes": {"large": dataclasses.asdict(plan.large), "small": dataclasses.asdict(plan.small)},
        "sources": {role: {"folder": adapters.named(path), "sha256": _weights(path)} for role, path in sources.items()},
        "text": _file(order.text) | {"texts": plan.texts, "tokens": plan.tokens},
        "labelled": _file(order.labelled) if order.labelled else None,
        "max_tokens": order.max_tokens,
        "device": order.device,
        "flops": plan.flops,
        **({} if choices is None else {"choices": choices}),
        "diagnostics": diagnostics,
        "code_version": provenance.code_version(),
        "packages": provenance.packages(),
        "model_sha256": files.sha256(folder / ("model.safetensors" if choices is None else manifest.FILE)),
        "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    files.write_json(folder / card.PROVENANCE, made)
    (folder / card.CARD).write_text(card.text(strength, plan.options, made["head"], made["sources"]))


def _file(path: Path) -> dict[str, Any]:
    return {"file": str(path), "sha256": files.sha256(path)}


def _weights(folder: Path) -> dict[str, str]:
    return {file.name: files.sha256(file) for file in open_folder(folder).weights}
