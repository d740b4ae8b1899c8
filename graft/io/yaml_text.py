"""Edit YAML as text, key by key, so that its comments stay: for block mappings indented by two spaces."""

from typing import Any

import yaml

INDENT = "  "
Lines = list[str]
KeyPath = tuple[str, ...]


def find(lines: Lines, path: KeyPath) -> tuple[int, int]:
    """Return the index of the line with the key at `path`, and of the line after its value; raises KeyError."""
    at, end = -1, len(lines)
    for depth, key in enumerate(path):
        indent = INDENT * depth
        found = [i for i in range(at + 1, end) if lines[i].startswith(f"{indent}{key}:")]
        if not found:
            raise KeyError(".".join(path))
        at = found[0]
        end = _value_end(lines, at, end, len(indent))
    return at, end


def taken(lines: Lines, path: KeyPath) -> Lines:
    """Return the lines of the key at `path`, its value and the comment above it."""
    start, end = find(lines, path)
    return comment(lines, path) + lines[start:end]


def replaced(lines: Lines, path: KeyPath, new: Lines) -> Lines:
    """Replace the key at `path` and its value by `new`; the comment above it stays."""
    start, end = find(lines, path)
    return lines[:start] + new + lines[end:]


def without(lines: Lines, path: KeyPath) -> Lines:
    """Remove the key at `path`, its value and the comment above it."""
    start, end = find(lines, path)
    return lines[: start - len(comment(lines, path))] + lines[end:]


def extended(lines: Lines, path: KeyPath, new: Lines) -> Lines:
    """Append `new` to the value of the key at `path`."""
    _, end = find(lines, path)
    return lines[:end] + new + lines[end:]


def comment(lines: Lines, path: KeyPath) -> Lines:
    """Return the comment lines right above the key at `path`."""
    start, _ = find(lines, path)
    mark = INDENT * (len(path) - 1) + "#"
    first = start
    while first > 0 and lines[first - 1].startswith(mark):
        first -= 1
    return lines[first:start]


def flow(value: Any) -> str:
    """Format `value` as YAML on one line, quoted where necessary."""
    dumped = yaml.safe_dump([value], default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf"))
    return dumped.strip()[1:-1]


def _value_end(lines: Lines, at: int, limit: int, indent: int) -> int:
    """Return the line after the last one indented deeper than the key; a comment at its depth is the next key's."""
    end = at + 1
    for i in range(at + 1, limit):
        stripped = lines[i].lstrip(" ")
        if stripped and len(lines[i]) - len(stripped) <= indent:
            break
        if stripped:
            end = i + 1
    return end
