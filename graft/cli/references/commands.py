"""Generate docs/commands.md: every command of `python -m graft`, from its signature and docstring."""

import typing
from pathlib import Path
from typing import Any

import typer

from graft.cli.main import SEVERAL, app
from graft.io import markdown
from graft.io.workflow import ROOT

INTRODUCTION = """
# Commands

Generated from the code by `make docs`. `--help` after a name prints the same; an installed package has the
command as `graft`. Bad input ends in one sentence on stderr and exit status 1. Studies are looked for in `results/` of
the current folder.
"""
# Values by the type of a parameter, where it has no better name for them; a switch has none.
VALUES = {str: "TEXT", Path: "PATH", int: "N", float: "X", bool: ""}


def reference() -> str:
    """Render the whole page."""
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    return markdown.page(INTRODUCTION, *(_command(name, command) for name, command in commands.items()))


def _command(name: str, command: Any) -> str:
    paragraphs = [markdown.prose(text) for text in command.help.split("\n\n")]
    rows = [(_written(param), _default(param), _here(param.help)) for param in command.params]
    table = markdown.table(("argument", "default", "what"), rows) if rows else ""
    return markdown.page(f"## {name}", *paragraphs, table)


def _written(param: Any) -> str:
    """A parameter as it is typed."""
    if param.param_type_name == "argument":
        return f"`{param.name.upper()}`"
    kind = param.type_descriptor.annotation
    value = param.metavar or VALUES[typing.get_args(kind)[0] if typing.get_args(kind) else kind]
    return f"`{' '.join([param.opts[0], value]).strip()}`"


def _default(param: Any) -> str:
    if param.required:
        return "needed"
    if param.default is False:
        return "off"
    if param.default is None:
        # Flags in SEVERAL take all values at once.
        return "none; may be repeated" if param.multiple and param.opts[0] not in SEVERAL else "none"
    return f"`{_here(str(param.default))}`"


def _here(text: str) -> str:
    """A text in which paths are relative to the clone."""
    return text.replace(f"{ROOT}/", "")
