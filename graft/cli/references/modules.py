"""The map of all modules at the end of docs/architecture.md, from their docstrings."""

import ast
from collections.abc import Iterator
from pathlib import Path

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
        told = ast.get_docstring(ast.parse(path.read_text())) or ""
        # A package's own line says something only if it has code.
        if told and (path.stem != "__init__" or "\n" in path.read_text().strip()):
            name = path.relative_to(layer).as_posix().removesuffix("/__init__.py")
            yield f"- `{name}`: {' '.join(told.split(chr(10) * 2)[0].split())}"
