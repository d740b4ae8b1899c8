"""Describe a saved system's architecture as a short text, equal for two systems exactly if they compute alike."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graft.merging.composite import manifest
from graft.merging.composite.manifest import Composite
from graft.registry.shapes import Shape

# Keys of composites that are values in the computation and do not change its architecture.
_NUMBERS = ("alpha", "beta", "scales", "logits")


def architecture(folder: str | Path) -> str:
    """Architecture of the system saved in `folder`: `<family>-<layers>x<width>x<heads>x<ffn>x<vocabulary>`, or a
    composite's kind followed, in parentheses, by its parts' architectures and other settings that affect it.

    Raises ValueError if the folder holds no system.
    """
    folder = Path(folder)
    if (folder / manifest.FILE).is_file():
        return _composite(manifest.read(folder, check_parts=False))
    if (folder / "config.json").is_file():
        shape = Shape.of(folder)
        return f"{shape.family}-{shape.layers}x{shape.width}x{shape.heads}x{shape.ffn}x{shape.vocabulary}"
    raise ValueError(f"{folder}: contains no system; it needs {manifest.FILE} or config.json")


def _composite(composite: Composite) -> str:
    fields: Mapping[str, Any] = composite.fields
    parts, keys, _ = manifest.KINDS[composite.kind]
    inside = [architecture(composite.part(name)) for name in sorted(fields.get("parts", parts))]
    inside += [f"{key}={_text(fields[key])}" for key in sorted(keys) if key not in _NUMBERS]
    return f"{composite.kind}({', '.join(inside)})"


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "+".join(map(str, value.values()))
    return "+".join(":".join(map(str, pair)) for pair in value) if isinstance(value, list) else str(value)
