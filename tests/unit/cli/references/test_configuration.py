"""The generated reference of the config: whole, and readable as Markdown."""

import re

from graft.cli.references import configuration
from graft.config.study import Study


def test_every_key_of_the_config_stands_there_with_its_meaning():
    text, schema = configuration.reference(), Study.model_json_schema()
    rows = re.findall(r"^\| `([\w-]+)` \| (.+) \| (.+) \| (.*) \| (.*) \|$", text, re.MULTILINE)
    known = {key for part in (schema, *schema["$defs"].values()) for key in part.get("properties", {})}
    assert {key for key, *_ in rows} == known
    assert not [row for row in rows if not row[-1]], "a docstring is missing below a field; then make docs"


def test_defaults_types_and_units_are_described():
    text = configuration.reference()
    assert "| `max_tokens` | whole number from 4 up to 512 | needed | tokens |" in text
    assert '| `include` | list: text | `["*"]` |' in text
    assert "| `warmup` | number from 0 below 1 | `0.1` | share of the steps |" in text
    assert "| `gpus` | whole number from 1 up to 1000 or null | none | processes |" in text


def test_units_are_of_keys_that_there_are():
    schema = Study.model_json_schema()
    known = {key for part in (schema, *schema["$defs"].values()) for key in part.get("properties", {})}
    assert configuration.UNITS.keys() <= known
