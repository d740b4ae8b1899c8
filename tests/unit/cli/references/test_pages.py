"""The generated references: as committed, whole, and readable as Markdown."""

import re

import pytest

from graft.cli.references import configuration, methods
from graft.cli.references.__main__ import PAGES, ROOT
from graft.config.study import Study
from graft.registry import merge_methods, same_shape_methods


@pytest.mark.parametrize("name", PAGES)
def test_what_is_committed_is_what_the_code_says(name):
    assert (ROOT / name).read_text() == PAGES[name](), "call make docs"


@pytest.mark.parametrize(
    "facts", [*merge_methods.METHODS.values(), *same_shape_methods.METHODS.values()], ids=lambda facts: facts.name
)
def test_every_method_has_what_it_is_needs_options_and_citation(facts):
    (section,) = re.findall(rf"^### {facts.name}\n(.*?)(?=^##|\Z)", methods.reference(), re.DOTALL | re.MULTILINE)
    assert facts.citation in section and "| needs |" in section
    assert re.search(r"[=(]", section.split("| needs |")[0]), "no formula"
    for name, option in facts.options.items():
        assert re.search(rf"^\| `{name}` \| .* \| .* \| .+ \|$", section, re.MULTILINE), name
        assert all(f"`{choice}`" in section for choice in option.choices)


def test_inference_costs_are_those_of_the_models_that_run():
    assert methods.inference(merge_methods.facts("theseus")) == "large: 22.3 GFLOPs (×1.00)"
    assert methods.inference(merge_methods.facts("logit_ensemble")) == "small + large: 23.6 GFLOPs (×1.06)"
    low, high = re.findall(r"×([\d.]+)", methods.inference(merge_methods.facts("stitch")))
    assert float(low) < 0.5 < float(high) < 1


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
