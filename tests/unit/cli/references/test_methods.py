"""The generated reference of methods."""

import re

import pytest

from graft.cli.references import methods as page
from graft.cli.references.__main__ import ROOT
from graft.registry.methods import facts, table


@pytest.mark.parametrize("method", table().values(), ids=lambda method: method.name)
def test_every_method_has_what_it_is_needs_options_and_citation(method):
    (section,) = re.findall(rf"^### {method.name}\n(.*?)(?=^##|\Z)", page.reference(), re.DOTALL | re.MULTILINE)
    assert method.citation in section and "| needs |" in section
    assert re.search(r"[=(]", section.split("| needs |")[0]), "no formula"
    for name, option in method.known().items():
        assert re.search(rf"^\| `{name}` \| .* \| .* \| .+ \|$", section, re.MULTILINE), name
        assert all(f"`{choice}`" in section for choice in option.choices)


def test_every_method_and_trained_system_says_in_one_list_how_it_departs_from_its_paper():
    (listed,) = re.findall(r"^## Departures from papers\n(.*)", page.reference(), re.DOTALL | re.MULTILINE)
    rows = [line.strip("| ").split(" | ") for line in listed.splitlines() if line.startswith("| `")]
    assert [row[0].strip("`") for row in rows] == [*table(), *page.TRAINED]
    for (_, source, told), method in zip(rows, table().values(), strict=False):
        own = method.citation.startswith(("none:", "ours:"))
        assert source == method.citation and told == (
            method.departs or ("no paper to depart from" if own else "none known")
        )


@pytest.mark.parametrize("method", table().values(), ids=lambda method: method.name)
def test_the_readme_names_every_method_with_its_paper(method):
    (section,) = re.findall(r"^## Methods\n(.*?)^## ", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert f"`{method.name}`" in section
    papers = [] if method.citation.startswith(("none:", "ours:")) else re.findall(r"arXiv ([\d.]+)", method.citation)
    assert all(f"https://arxiv.org/abs/{paper}" in section for paper in papers)


def test_inference_costs_are_those_of_the_models_that_run():
    assert page.inference(facts("theseus")) == "large: 22.3 GFLOPs (×1.00)"
    assert page.inference(facts("logit_ensemble")) == "small + large: 23.6 GFLOPs (×1.06)"
    low, high = re.findall(r"×([\d.]+)", page.inference(facts("stitch")))
    assert float(low) < 0.5 < float(high) < 1
