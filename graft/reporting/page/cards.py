"""Method cards: a merge method's description, formula and source, and its cost in a study."""

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import graft
from graft.registry.methods import KINDS, facts
from graft.reporting import formats
from graft.study.grid import Grid


@dataclass(frozen=True)
class Card:
    """One method as used in a study: `paragraphs` of documentation, and `facts` as names and values."""

    name: str
    what: str
    paragraphs: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]


def cards(comparison: pd.DataFrame, grid: Grid) -> list[Card]:
    """One card for every method that makes a system of the study."""
    methods: dict[str, list[str]] = {}
    for system in grid.systems.values():
        if system.method and system.kind in KINDS and system.labels is None:
            methods.setdefault(system.method, []).append(system.name)
    return [_card(method, names, comparison, grid) for method, names in methods.items()]


def documentation(method: str) -> tuple[str, tuple[str, ...]]:
    """The first line of a method's module docstring, and the paragraphs that describe the method.

    These are the rest of that docstring and the docstring of the implementing class or function `combine`. They are
    parsed from the source, since importing the module would import torch.
    """
    module, name = facts(method).implementation.split(":")
    source = Path(graft.__file__).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")
    tree = ast.parse(source.read_text())
    nodes = (node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef))
    own = next((n for n in nodes if n.name == (name if isinstance(n, ast.ClassDef) else "combine")), None)
    what, *rest = _paragraphs(ast.get_docstring(tree) or "")
    return what, (*rest, *_paragraphs((own and ast.get_docstring(own)) or ""))


def _card(method: str, systems: list[str], comparison: pd.DataFrame, grid: Grid) -> Card:
    known = facts(method)
    what, paragraphs = documentation(method)
    rows = [row for row in formats.records(comparison) if row["system"] in systems]
    merges = dict.fromkeys(merge for name in systems if (merge := grid.systems[name].merge))
    table_rows = [
        ("kind", f"{known.kind}, {'one model of the large shape' if known.kind == 'weights' else 'runs both models'}"),
        ("reads", ", ".join(known.needs)),
        ("labels seen", known.label_use + (", and those its head sees" if known.heads else "")),
        ("runs per example", " + ".join(known.inference)),
        ("training FLOPs", _range(rows, "train_flops_ratio")),
        ("inference FLOPs", _range(rows, "inference_flops_ratio")),
        *((f"options of {merge}", _options(grid.merges[merge].options.values())) for merge in merges),
        ("source", known.citation),
    ]
    return Card(method, what, paragraphs, tuple(table_rows))


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


def _options(options: dict[str, Any]) -> str:
    return "; ".join(f"{name} {_written(value)}" for name, value in options.items()) or formats.NOTHING


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(f"{one:g}" for one in value) if isinstance(value, list) else str(value)


def _range(rows: list[dict[str, float]], cost: str) -> str:
    """The range of a cost ratio over the rows, as text."""
    known = sorted(row[cost] for row in rows if row[cost] is not None)
    if not known:
        return "no run has finished"
    ends = dict.fromkeys(formats.ratio(value) for value in (known[0], known[-1]))
    return f"{' to '.join(f'×{end}' for end in ends)} of the reference"
