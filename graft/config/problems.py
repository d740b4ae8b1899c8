"""Sentences for what pydantic finds wrong in a config: each names the key and says what would be right."""

import re
from typing import Any

from pydantic_core import ErrorDetails

from graft.io.names import closest, meant, shown, unknown

Schema = dict[str, Any]
Location = tuple[str | int, ...]
# Pydantic appends this to the location of a key that is itself invalid.
_KEY = "[key]"


def sentences(problems: list[ErrorDetails], schema: Schema) -> str:
    """Describe the problems of a config with this JSON schema, one per line, leaving out those that others cause."""
    return "\n".join(_sentence(problem, schema) for problem in _causes(problems, schema))


def _causes(problems: list[ErrorDetails], schema: Schema) -> list[ErrorDetails]:
    """Return the problems without those that follow from others."""
    # Pydantic also reports a sequence with a bad item as too short, and a misspelt key as missing.
    bad = {problem["loc"][:-1] for problem in problems}
    misspelt = [p["loc"] for p in problems if p["type"] == "extra_forbidden"]
    follow = {("missing", (*at[:-1], closest(at[-1], _keys_at(schema, at[:-1])))) for at in misspelt}
    follow |= {("too_short", at) for at in bad}
    causes = [p for p in problems if (p["type"], p["loc"]) not in follow]
    # An invalid name may appear in many places.
    first = {p["msg"]: p for p in reversed(causes) if "is not a name" in p["msg"]}
    return [p for p in causes if first.get(p["msg"], p) is p]


def _sentence(problem: ErrorDetails, schema: Schema) -> str:
    where = ".".join(str(part) for part in problem["loc"] if part != _KEY)
    if problem["type"] == "extra_forbidden":
        known = _keys_at(schema, problem["loc"][:-1])
        listed = f"; available: {', '.join(known)}" if known else ""
        return f"{where}: unknown key{listed}{meant(problem['loc'][-1], known)}"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"{where}: this key is needed"
    given = problem["input"]
    if problem["type"] == "union_tag_not_found":
        return f"{where}.kind: this key is needed"
    if problem["type"] == "union_tag_invalid":
        known = re.findall("'([^']*)'", problem["ctx"]["expected_tags"])
        return str(unknown(f"{where}.kind", given["kind"], known))
    if problem["type"] in ("model_type", "dict_type", "model_attributes_type"):
        return f"{where}: {shown(given)}; keys and values are needed here"
    if problem["type"] == "tuple_type":
        return f"{where}: {shown(given)}; a list in square brackets is needed"
    if problem["type"] == "string_type" and isinstance(given, int | float):
        return f"{where}: {shown(given)}; text is needed, so write it in quotes"
    own = problem["type"] == "value_error"
    if not own and isinstance(given, str | int | float) and (text := shown(given)) not in message:
        message += f" (given: {text})"
    if problem["type"] == "literal_error":
        message += meant(given, re.findall("'([^']*)'", problem["ctx"]["expected"]))
    return f"{where}: {message}" if where else message


def _keys_at(schema: Schema, location: Location) -> list[str]:
    """Return the keys that the config knows at `location`, or [] if that is not a section."""
    options = _options(schema, schema)
    for part in location:
        inner = next((found for option in options if (found := _inner(option, part))), {})
        options = _options(schema, inner)
    return next((list(option["properties"]) for option in options if option.get("properties")), [])


def _options(schema: Schema, node: Schema) -> list[Schema]:
    """Return a node of the schema without reference, and all alternatives in it."""
    node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node
    alternatives = node.get("anyOf", []) + node.get("oneOf", [])
    return [node, *(option for alternative in alternatives for option in _options(schema, alternative))]


def _inner(node: Schema, part: str | int) -> Schema | None:
    """Return the node of a key, a list's item or a kind of section inside a node, if it has one."""
    if kind := node.get("discriminator", {}).get("mapping", {}).get(part):
        return {"$ref": kind}
    extra = node.get("additionalProperties")
    return node.get("properties", {}).get(part) or (extra if isinstance(extra, dict) else None) or node.get("items")
