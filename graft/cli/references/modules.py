"""The map of all modules at the end of docs/architecture.md, from their docstrings."""

import ast
from collections.abc import Iterator
from pathlib import Path

from graft.io import markdown

HEADING = "## Every module"


def architecture(page: Path) -> str:
    """Render the page again, with the map below its heading."""
    written, _ = page.read_text().split(HEADING)
    root = page.parents[1] / "graft"
    layers = "\n\n".join(f"**{layer.name}**\n\n" + "\n".join(_lines(layer, root)) for layer in _packages(root))
    return f"{written}{HEADING}\n\nGenerated from docstrings by `make docs`.\n\n{layers}\n"


def _packages(folder: Path) -> list[Path]:
    return [path.parent for path in sorted(folder.glob("*/__init__.py"))]


def _lines(layer: Path, root: Path) -> Iterator[str]:
    for path in sorted(layer.rglob("*.py")):
        module = ast.parse(path.read_text())
        purpose = (ast.get_docstring(module) or "").partition("\n\n")[0]
        # A package's own line says something only if it has code.
        if len(module.body) > 1 or path.stem != "__init__":
            name = path.relative_to(layer).as_posix().removesuffix("/__init__.py")
            names = [node.name for node in module.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
            public = ", ".join(f"`{one}`" for one in names if not one.startswith("_"))
            yield f"- `{name}`: {markdown.prose(' '.join(purpose.split()))}{' ' if public else ''}{public}"
