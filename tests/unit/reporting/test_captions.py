from graft.reporting import captions
from graft.reporting.figures import catalogue


def test_every_figure_has_its_heading_and_caption():
    assert list(captions.FIGURES) == list(catalogue.DRAWINGS)
