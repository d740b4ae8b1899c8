"""The generated reference of methods."""

import re

import pytest

from graft.cli.references import methods
from graft.registry import merge_methods, same_shape_methods


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
