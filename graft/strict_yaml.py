"""Reading YAML as configs mean it: no key twice, and numbers such as 2e-5. Imports no torch."""

import re
from pathlib import Path
from typing import Any

import yaml

from graft import plain_text


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read YAML, refusing a key that stands twice in one mapping (plain YAML would drop the first in silence)."""
    try:
        values = yaml.load(plain_text.read(path), Loader=_StrictLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path}: holds no keys; a study config is a mapping")
    return values


class _StrictLoader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.YAMLError(f"key {key!r} stands twice (line {node.start_mark.line + 1} and below)")
        return super().construct_mapping(node, deep)

    def construct_float(self, node: yaml.ScalarNode) -> float:
        return float(node.value)


# YAML 1.1 reads `2e-5` as a string for want of a dot; every config of this field writes it so.
_StrictLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def typed(value: Any) -> Any:
    """What a string, or each string of a list, is in YAML: pydantic does as much for the keys whose types it knows."""
    if isinstance(value, list | tuple):
        return [typed(part) for part in value]
    return yaml.load(value, Loader=_StrictLoader) if isinstance(value, str) else value
