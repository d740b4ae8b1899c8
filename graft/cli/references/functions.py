"""The end of docs/python.md: everything that `import graft` has, from signatures and docstrings."""

import ast
import inspect
import textwrap
import typing
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import graft
from graft.io import markdown
from graft.study.answering import System

HEADING = "## Every function"


def python(page: Path) -> str:
    """Render the page again, with the functions and what they return below its heading."""
    written, _ = page.read_text().split(HEADING)
    functions = [markdown.page(f"### graft.{name}", _called(getattr(graft, name))) for name in graft.__all__]
    system = [_called(method) for method in (System.__call__, System.logits, System.to)]
    comparison = typing.get_type_hints(graft.compare)["return"]
    values = ", ".join(f"`{field.name}`: {field.type}" for field in fields(comparison))
    return markdown.page(
        written + HEADING,
        "Generated from the code by `make docs`.",
        *functions,
        markdown.page("### System", _text(System), *system),
        markdown.page("### Comparison", _text(comparison), f"Fields: {values}."),
    )


def _called(function: Callable[..., Any]) -> str:
    """A function as it is called: its source up to the docstring, and that."""
    source = textwrap.dedent(inspect.getsource(function))
    (node,) = ast.parse(source).body
    assert isinstance(node, ast.FunctionDef)
    signature = "\n".join(source.splitlines()[: node.body[0].lineno - 1]).removesuffix(":")
    return markdown.page(f"```py\n{signature}\n```", _text(function))


def _text(thing: Any) -> str:
    """A docstring but for its examples, which the page has above."""
    paragraphs = (inspect.getdoc(thing) or "").split("\n\n")
    return "\n\n".join(markdown.prose(text) for text in paragraphs if not text.startswith(">>>"))
