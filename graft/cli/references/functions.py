"""The end of docs/python.md: everything that `import graft` has, from signatures and docstrings."""

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import graft
from graft.api import Comparison
from graft.io import markdown
from graft.study.answering import System

HEADING = "## Every function"


def python(page: Path) -> str:
    """Render the page again, with the functions and what they return below its heading."""
    written, _ = page.read_text().split(HEADING)
    functions = [_section(f"graft.{name}", getattr(graft, name)) for name in graft.__all__]
    fields = ", ".join(f"`{field.name}`: {field.type}" for field in dataclasses.fields(Comparison))
    system = [
        f"```py\n{_signature(method)}\n```\n\n{_text(method)}" for method in (System.__call__, System.logits, System.to)
    ]
    comparison = markdown.page("### Comparison", _text(Comparison), f"Fields: {fields}.")
    said = "Generated from the code by `make docs`."
    return markdown.page(written + HEADING, said, *functions, "### System", _text(System), *system, comparison)


def _section(name: str, function: Callable[..., Any]) -> str:
    return markdown.page(f"### {name}", f"```py\n{_signature(function)}\n```", _text(function))


def _signature(function: Callable[..., Any]) -> str:
    """The source of a function up to its docstring."""
    source = textwrap.dedent(inspect.getsource(function))
    (node,) = ast.parse(source).body
    assert isinstance(node, ast.FunctionDef)
    return "\n".join(source.splitlines()[: node.body[0].lineno - 1]).removesuffix(":")


def _text(thing: Any) -> str:
    """A docstring but for its examples, which the page has above."""
    paragraphs = (inspect.getdoc(thing) or "").split("\n\n")
    return "\n\n".join(markdown.prose(text) for text in paragraphs if not text.startswith(">>>"))
