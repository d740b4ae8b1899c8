"""Generate docs/configuration.md: every key of a study config, from its schema and its fields' docstrings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graft.config.study import Study
from graft.io import markdown

Node = Mapping[str, Any]

INTRODUCTION = """
# Configuration

Every key of a study config, generated from the code by `make docs`. [config.yaml](../config.yaml) is the default study,
with comments; [config/demo.yaml](../config/demo.yaml) is the smallest one to copy. Editors that read
[config/study.schema.json](../config/study.schema.json) complete keys and mark wrong ones.

A study is one YAML file, given with `--configfile`, and is never mixed with another. Unknown keys, keys that appear
twice, and values that versions of YAML read differently (`010`, `1_000`, `1:30`, `yes`, `off`) are refused. Anchors and
`<<` work. `--config 'seeds=[0]'` changes any key for one call. Names consist of lower-case letters, digits and `. _ -`;
`<name>` is a name that you choose. Numbers are finite.
Patterns that match nothing are refused; they may also use the short names of systems, as in the tables. Changing a key
re-runs only what depends on it: `python -m graft explain` shows what a run depends on.
"""
NEEDED = "needed"
FAR = 1_000_000
# Units of numeric keys, by the last part of the key.
UNITS = {
    **dict.fromkeys(("train", "select", "report", "dev", "rows", "fit_rows"), "rows"),
    **dict.fromkeys(("tokens", "max_tokens", "pass_tokens"), "tokens"),
    **dict.fromkeys(("batch_size", "examples"), "examples"),
    **dict.fromkeys(("start_texts", "texts"), "texts"),
    **dict.fromkeys(("width", "ffn"), "units"),
    **{name: name for name in ("layers", "heads", "nodes", "threads", "draws")},
    "epochs": "passes over train",
    "steps": "optimizer steps",
    "log_every": "steps",
    "warmup": "share of the steps",
    "masked": "share of tokens",
    "dropout": "share",
    "checkpoint_minutes": "minutes",
    "gpus": "processes",
    "rounds": "visits",
    "members": "models",
    "confidence": "probability",
    "rates": "× the model's own",
    "margins": "of the primary metric",
}


@dataclass(frozen=True)
class Section:
    """A part of the config: its path, its kind if there are several, and its schema."""

    path: str
    schema: Node
    kind: str = ""

    @property
    def heading(self) -> str:
        where = f"`{self.path}`" if self.path else "Top level"
        return f"{where}, kind {self.kind}" if self.kind else where


def reference() -> str:
    """Render the whole page."""
    whole = Study.model_json_schema()
    places: dict[str, Section] = {}
    found = list(_sections(whole, Section("", whole), places))
    return markdown.page(INTRODUCTION, *(_written(whole, section, places) for section in found))


def _sections(whole: Node, section: Section, places: dict[str, Section]) -> Iterator[Section]:
    """Yield a section and all below it, each schema at its first place only; `places`: sections by schema name."""
    yield section
    for key, value in section.schema["properties"].items():
        for name, inner in _inner(whole, value):
            if name not in places:
                kind = _kinds(inner) or section.kind
                places[name] = Section(_path(section.path, key, value), inner, kind)
                yield from _sections(whole, places[name], places)


def _written(whole: Node, section: Section, places: Mapping[str, Section]) -> str:
    schema, needed = section.schema, section.schema.get("required", ())
    rows = []
    for key, value in schema["properties"].items():
        below = [places[name] for name, _ in _inner(whole, value)]
        default = NEEDED if key in needed else _default(value, below)
        text = "Kind of this section." if key == "kind" else value.get("description", "")
        if len(below) > 1:
            text = f"{text} By kind: {', '.join(markdown.link(place.heading, place.kind) for place in below)}."
        elif below:
            (place,) = below
            said = place.schema.get("description", "").split("\n\n")[0].replace("\n", " ")
            text = f"{text or said} See {markdown.link(place.heading, f'`{place.path}`')}."
        unit = UNITS.get(key, "") if _is_number(value) else ""
        rows.append((f"`{key}`", _type(whole, value), default, unit, text))
    table = markdown.table(("key", "type", "default", "unit", "what"), rows) if rows else "No keys: write `{}`."
    also = "All other keys are options of the method: see [methods.md](methods.md)."
    own = markdown.prose(schema.get("description", "")) if section.path else ""
    open_ended = schema.get("additionalProperties") is True
    return markdown.page(f"## {section.heading}", own, table, also if open_ended else "")


def _inner(whole: Node, value: Node) -> list[tuple[str, Node]]:
    """Schemas of sections in a key's value, by name: direct, in a mapping, in a list, or one of several kinds."""
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[1]
        return [(name, whole["$defs"][name])]
    found = [*value.get("anyOf", ()), *value.get("oneOf", ())]
    found += [value[part] for part in ("additionalProperties", "items") if isinstance(value.get(part), Mapping)]
    return list(dict(inner for option in found for inner in _inner(whole, option)).items())


def _path(path: str, key: str, value: Node) -> str:
    """The path of a key's value; `<name>` stands for any key of a mapping, and `[]` for any item of a list."""
    place = ".<name>" if isinstance(value.get("additionalProperties"), Mapping) else "[]" if "items" in value else ""
    return f"{path}.{key}{place}" if path else f"{key}{place}"


def _kinds(schema: Node) -> str:
    kind = schema["properties"].get("kind", {})
    return " or ".join(f"`{name}`" for name in kind.get("enum", [kind["const"]] if "const" in kind else []))


def _type(whole: Node, value: Node) -> str:
    """Describe the type of a key's value."""
    if "const" in value or "enum" in value:
        return " or ".join(f"`{name}`" for name in value.get("enum", [value.get("const")]))
    if options := value.get("anyOf") or value.get("oneOf"):
        return " or ".join(dict.fromkeys(_type(whole, option) for option in options))
    if "$ref" in value:
        return "section"
    match value.get("type"):
        case "null":
            return "null"
        case "boolean":
            return "true or false"
        case "integer" | "number" as kind:
            return _bounded("whole number" if kind == "integer" else kind, value)
        case "string":
            return f"text like `{value['pattern']}`" if "pattern" in value else "text"
        case "array" if "prefixItems" in value:
            return f"{len(value['prefixItems'])} numbers"
        case "array":
            return f"list: {_type(whole, value['items'])}"
        case "object":
            return f"by name: {_type(whole, value['additionalProperties'])}"
    raise ValueError(f"the schema has a type that graft.cli.references.configuration does not know: {value}")


def _bounded(what: str, value: Node) -> str:
    words = {"exclusiveMinimum": "above", "minimum": "from", "exclusiveMaximum": "below", "maximum": "up to"}
    # A whole number above 0 is at least 1.
    bounds = dict(value)
    if value.get("type") == "integer" and bounds.pop("exclusiveMinimum", None) == 0:
        bounds["minimum"] = 1
    # Leave out bounds too large to matter.
    limits = [f"{word} {bounds[bound]:g}" for bound, word in words.items() if abs(bounds.get(bound, FAR)) < FAR]
    return " ".join([what, *limits])


def _is_number(value: Node) -> bool:
    options = [*value.get("anyOf", ()), value, value.get("items", {}), value.get("additionalProperties", {})]
    return any(isinstance(o, Mapping) and o.get("type") in ("integer", "number") for o in options)


def _default(value: Node, below: list[Section]) -> str:
    default = value.get("default")
    if default is None:
        return "none"
    if isinstance(default, Mapping):
        return "as below" if default and below else f"`{default}`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, list):
        return f"`[{', '.join(_plain(item) for item in default)}]`"
    return f"`{_plain(default)}`"


def _plain(value: Any) -> str:
    # YAML would read `*` as an alias.
    if isinstance(value, str):
        return f'"{value}"' if "*" in value else value
    return f"{value:g}" if isinstance(value, float) else str(value)
