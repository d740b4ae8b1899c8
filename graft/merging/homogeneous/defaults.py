"""What a key of a model's config means where the config leaves it out, as transformers' classes say. Imports neither.

transformers' config classes import torch; their files are read instead, in which a default is a literal.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from pathlib import Path
from typing import Any

# Of older versions, whose configs are still about, and of all families.
COMMON = {
    "position_embedding_type": "absolute",
    "is_encoder_decoder": False,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
}


@functools.cache
def of_family(model_type: str) -> dict[str, Any]:
    """The default of each key of a family's config, as far as it is a plain value; COMMON alone where transformers is
    not installed or does not know the family."""
    spec = importlib.util.find_spec("transformers")
    if spec is None or spec.origin is None or not model_type.replace("-", "_").isidentifier():
        return dict(COMMON)
    package, folder = Path(spec.origin).parent, model_type.replace("-", "_")
    file = package / "models" / folder / f"configuration_{folder}.py"
    if not file.is_file():
        return dict(COMMON)
    classes = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    fields = (_fields(node) for node in classes)
    return COMMON | next((found for found in fields if found.get("model_type") == model_type), {})


def _fields(node: ast.ClassDef) -> dict[str, Any]:
    """The class's fields that have a literal for a default."""
    found: dict[str, Any] = {}
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            name, value = part.target.id, part.value
        elif isinstance(part, ast.Assign) and len(part.targets) == 1 and isinstance(part.targets[0], ast.Name):
            name, value = part.targets[0].id, part.value
        else:
            continue
        try:
            found[name] = ast.literal_eval(value) if value is not None else None
        except ValueError:
            continue
    return found
