"""Defaults of config keys that are left out, as transformers' config classes define them.

Importing those classes would import torch, so their source files are parsed instead: defaults there are literals.
"""

import ast
import functools
import importlib.util
from pathlib import Path
from typing import Any

# Defaults for all families, from older versions whose configs are still in use.
COMMON = {
    "position_embedding_type": "absolute",
    "is_encoder_decoder": False,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
}


@functools.cache
def of_family(model_type: str) -> dict[str, Any]:
    """Defaults of a family's config keys that are literals, on top of COMMON.

    Returns COMMON alone if transformers is not installed or does not know the family.
    """
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
    """The class's fields whose default is a literal."""
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
