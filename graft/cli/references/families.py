"""The end of docs/my-pair.md: the families of encoders, from the registry and its modules' docstrings."""

import inspect
from pathlib import Path

from graft.io import markdown
from graft.registry import families
from graft.registry.families.family import Family

HEADING = "## Families"


def pairs(page: Path) -> str:
    """Render the page again, with the families below its heading."""
    written, _ = page.read_text().split(HEADING)
    said = "Generated from the code by `make docs`. A model's `config.json` gives its `model_type`."
    rows = [
        (", ".join(f"`{kind}`" for kind in family.types), _purpose(family)) for family in families.FAMILIES.values()
    ]
    return markdown.page(written + HEADING, said, markdown.table(("model_type", "what"), rows))


def _purpose(family: Family) -> str:
    """The first sentence of the module that a family is in."""
    modules = (module for _, module in inspect.getmembers(families, inspect.ismodule))
    (module,) = (module for module in modules if any(value is family for value in vars(module).values()))
    return (inspect.getdoc(module) or "").partition("\n\n")[0]
