"""Write values as YAML for people: what fits stands on one line."""

from typing import Any

import yaml

WIDTH = 118
# A key of the whole text is split earlier.
SHORT = 60
INDENT = "  "


def flow(value: Any) -> str:
    """Format `value` as YAML on one line, quoted where necessary."""
    dumped = yaml.safe_dump([value], default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf"))
    return dumped.strip()[1:-1]


def lines(values: dict[str, Any], depth: int = 0) -> list[str]:
    """Return the lines of a mapping's keys; a mapping among them that does not fit on one line has one for each key."""
    found = []
    for key, value in values.items():
        line = f"{INDENT * depth}{flow(key)}: {flow(value)}"
        whole = isinstance(value, dict) and value and len(line) > (WIDTH if depth else SHORT)
        found += [f"{INDENT * depth}{flow(key)}:", *lines(value, depth + 1)] if whole else [line]
    return found
