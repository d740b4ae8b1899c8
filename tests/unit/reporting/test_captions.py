from graft.registry.scenarios import scenarios
from graft.reporting import captions
from graft.reporting.figures import catalogue


def test_every_figure_has_its_heading_and_caption():
    assert list(captions.FIGURES) == list(catalogue.DRAWINGS)


def test_a_frontier_has_a_name_per_scenario_and_all_else_has_its_own():
    names = captions.by_name(scenarios([None]))
    own = {f"{name}-{scenario}" for name in captions.FRONTIERS for scenario in scenarios([None])}
    assert {*names} == own | ({*captions.FIGURES} - {*captions.FRONTIERS})
    assert all(heading.endswith(name.rsplit("flops-", 1)[1]) for name, (heading, _) in names.items() if name in own)
