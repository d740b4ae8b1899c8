"""Regenerate this checkout's reference pages: `python -m graft.cli.references` or `make docs`."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from graft.cli.references import commands, configuration, families, functions, methods, modules, studies
from graft.config.study import Study
from graft.io.files import atomic_file

ROOT = Path(__file__).resolve().parents[3]
# The generated files, and the functions that render them.
PAGES: dict[str, Callable[[], str]] = {
    "docs/methods.md": methods.reference,
    "docs/configuration.md": configuration.reference,
    "docs/commands.md": commands.reference,
    "docs/python.md": partial(functions.python, ROOT / "docs" / "python.md"),
    "docs/my-pair.md": partial(families.pairs, ROOT / "docs" / "my-pair.md"),
    "README.md": partial(studies.tabulated, ROOT / "README.md", ROOT / "docs" / "reference"),
    "docs/reference.md": partial(studies.tabulated, ROOT / "docs" / "reference.md", ROOT / "docs" / "reference"),
    "docs/results.md": partial(studies.tabulated, ROOT / "docs" / "results.md", ROOT / "docs" / "reference"),
    "docs/architecture.md": partial(modules.architecture, ROOT / "docs" / "architecture.md"),
    "config/study.schema.json": lambda: json.dumps(Study.model_json_schema(), indent=2) + "\n",
}


def main() -> None:
    for name, reference in PAGES.items():
        with atomic_file(ROOT / name) as temporary:
            temporary.write_text(reference())
        print(name)


if __name__ == "__main__":
    main()
