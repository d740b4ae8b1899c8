"""Read YAML, from configs and from values on the command line. Imports no torch.

YAML has versions: 010 is 8 in one and 10 in another, `no` is false or text, 1:30 is 90 or text. Values on which they
differ are refused, except 2e-5, which is always read as a number.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from graft.io import plain_text
from graft.io.names import shown

_CORE = "tag:yaml.org,2002:"
_AMBIGUOUS = "!ambiguous"
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(
    r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
# Values that some readers of YAML take for a number, or for a boolean.
_OTHER_NUMBER = re.compile(
    r"[-+]?(0[0-9_]+|0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"
    r"|[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?|[0-9_]*\.[0-9]*_[0-9_]*)([eE][-+]?[0-9]+)?"
)
_OTHER_TRUTH = re.compile(r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF")
# More than any study needs, yet quick to read: nested aliases grow without bound.
_DEPTH, _VALUES, _DIGITS = 50, 100_000, 100
_TOO_DEEP = f"nested more than {_DEPTH} levels deep; a study config has fewer than ten"


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read the mapping in a YAML file; raises ValueError, in one sentence, if it has none or a value is ambiguous."""
    values = _read(plain_text.read(path), str(path), lines=True)
    if not isinstance(values, dict):
        found = "nothing" if values is None else "a list" if isinstance(values, list) else "a single value"
        raise ValueError(f"{path}: contains {found}, not keys; a study config is a mapping (see config.yaml)")
    return values


def read_value(text: str, where: str) -> Any:
    """Read a single value, as from the command line; raises ValueError that begins with `where`."""
    return _read(text, where, lines=False)


def number_of(text: str) -> int | float:
    """Parse a decimal number; raises ValueError for any other text."""
    if _INTEGER.fullmatch(text) and len(text) <= _DIGITS:
        return int(text)
    if _FLOAT.fullmatch(text) and len(text) <= _DIGITS:
        return float(re.sub(r"\.(?=[a-z])", "", text.lower()))
    raise ValueError(f"{shown(text)} is text; a number is needed")


def quotient(value: Any) -> Any:
    """Divide the numbers of a text like 1/64; any other value, and what cannot be divided, is returned as it is."""
    match = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,8})", value) if isinstance(value, str) else None
    return int(match[1]) / int(match[2]) if match else value


def typed(value: Any) -> Any:
    """Convert a string, or each string of a list, to the number or boolean that it spells, if any.

    Inside brackets `snakemake --config` gives only strings; pydantic converts those of keys whose types it knows.
    """
    if isinstance(value, list | tuple):
        return [typed(part) for part in value]
    if not isinstance(value, str):
        return value
    if value in ("true", "True", "false", "False"):
        return value.lower() == "true"
    return number_of(value) if _FLOAT.fullmatch(value) and len(value) <= _DIGITS else value


class _Loader(yaml.SafeLoader):
    """JSON's types only, in spellings that all versions of YAML read the same way; tags for other types are refused."""

    yaml_implicit_resolvers: dict[str, Any] = {}
    yaml_constructors = {
        _CORE + tag: yaml.SafeLoader.yaml_constructors[_CORE + tag] for tag in ("null", "str", "seq", "map")
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(key, yaml.ScalarNode):
                raise _problem(key, "a list or mapping cannot be a key")
            if key.value in seen:
                raise _problem(key, f"key {key.value!r} appears twice, the second time here")
            seen.add(key.value)
        return super().construct_mapping(node, deep)

    def scalar(self, node: yaml.ScalarNode) -> Any:
        value = str(self.construct_scalar(node))
        kind = node.tag.removeprefix(_CORE)
        if kind == "bool" and value.lower() in ("true", "false"):
            return value.lower() == "true"
        pattern = {"int": _INTEGER, "float": _FLOAT}.get(kind)
        if pattern is None or not pattern.fullmatch(value) or len(value) > _DIGITS:
            raise _problem(node, f"{value[:_DIGITS]!r} cannot be read as {kind}")
        return number_of(value) if kind == "int" else float(number_of(value))

    def ambiguous(self, node: yaml.ScalarNode) -> Any:
        if _OTHER_TRUTH.fullmatch(node.value):
            truth = str(node.value.lower() in ("yes", "on")).lower()
            raise _problem(
                node, f"{node.value} means {truth} in some versions of YAML; write {truth}, or '{node.value}' for text"
            )
        raise _problem(
            node,
            f"{node.value} is read differently by different versions of YAML; write the number in "
            f"plain digits, or '{node.value}' for text",
        )

    def other(self, node: yaml.Node) -> Any:
        raise _problem(node, f"the tag {node.tag.replace(_CORE, '!!')} has no meaning in a config; leave it out")


for _tag, _pattern, _first in (
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), "tTfF"),
    ("null", re.compile(r"~|null|Null|NULL|"), ["~", "n", "N", ""]),
    ("int", _INTEGER, "-+0123456789"),
    ("merge", re.compile(r"<<"), "<"),
    (_AMBIGUOUS, _OTHER_NUMBER, "-+.0123456789_"),
    (_AMBIGUOUS, _OTHER_TRUTH, "yYnNoO"),
    ("float", _FLOAT, "-+.0123456789"),
):
    _whole = re.compile(f"(?:{_pattern.pattern})$")
    _Loader.add_implicit_resolver(_tag if _tag == _AMBIGUOUS else _CORE + _tag, _whole, list(_first))
for _tag in ("bool", "int", "float"):
    _Loader.add_constructor(_CORE + _tag, _Loader.scalar)
_Loader.add_constructor(_AMBIGUOUS, _Loader.ambiguous)
_Loader.add_constructor(None, _Loader.other)


def _problem(node: yaml.Node, text: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=text, problem_mark=node.start_mark)


def _read(text: str, where: str, lines: bool) -> Any:
    try:
        values = yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        # The parser notices a missing colon only on a later line.
        begun = (error.context or "").startswith("while scanning a simple key")
        mark = error.context_mark if begun else error.problem_mark or error.context_mark
        at = f", line {mark.line + 1}" if lines and mark else ""
        raise ValueError(f"{where}{at}: {_in_words(error)}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{where}: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise ValueError(f"{where}: {_TOO_DEEP}") from None
    _check_size(values, where)
    return values


def _in_words(error: yaml.MarkedYAMLError) -> str:
    problem = " ".join(str(error.problem or error.context).split())
    if problem.startswith("but "):
        problem = f"{error.context} {problem}"
    if "scanning an alias" in (error.context or ""):
        return "* begins an alias in YAML; put patterns in quotes"
    if "could not find expected ':'" in problem:
        return "a key needs a colon and a space after it"
    if "stream end" in problem or "end of stream" in problem:
        return "a list, a mapping or a quotation mark is never closed; text that begins with such a mark needs quotes"
    if "'\\t'" in problem:
        return "YAML does not allow tabs here; indent with spaces"
    if "mapping values are not allowed" in problem:
        return "a second colon, or a line indented too far; put text that contains a colon and a space in quotes"
    return problem


def _check_size(values: Any, where: str) -> None:
    """Raise ValueError if values are nested too deep, contain themselves, or grow too large through aliases."""
    count, left = 0, [(values, 0)]
    while left:
        value, depth = left.pop()
        count += 1
        if depth > _DEPTH:
            raise ValueError(f"{where}: {_TOO_DEEP}")
        if count > _VALUES:
            raise ValueError(f"{where}: contains more than {_VALUES} values with aliases; a study config has fewer")
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        left += [(part, depth + 1) for part in inner]
