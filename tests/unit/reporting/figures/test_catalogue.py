import dataclasses
import re

import pytest

from graft.io import files
from graft.reporting.figures import catalogue, strengths, style, training

DRAWN = ("metric-vs-training-flops", "metric-vs-inference-flops", "differences", "seeds")


@pytest.fixture
def without_records(source, monkeypatch):
    """A study of whose runs there are tables only."""
    for module in (strengths, training):
        monkeypatch.setattr(module, "finished_runs", lambda runs, paths: iter(()))
    return source


def test_what_there_is_data_for_is_written_with_the_data_and_all_else_is_gone(without_records, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "of-another-config.rte.svg").touch()
    catalogue.write(without_records, tmp_path / "figures")
    found = {path.name for path in (tmp_path / "figures").iterdir()}
    assert found == {f"{name}.rte.{ending}" for name in DRAWN for ending in ("svg", "png", "pdf", "csv")}


def test_equal_tables_give_equal_bytes(without_records, tmp_path):
    def made(folder):
        catalogue.write(without_records, folder)
        return {path.name: files.sha256(path) for path in folder.iterdir()}

    assert made(tmp_path / "one") == made(tmp_path / "two")


def test_figures_are_one_column_wide(without_records, tmp_path):
    catalogue.write(without_records, tmp_path / "figures")
    for path in (tmp_path / "figures").glob("*.svg"):
        width = float(re.search(r'<svg [^>]*width="([\d.]+)pt"', path.read_text())[1])
        assert width == pytest.approx(72 * style.WIDTH), path.name


def test_text_of_a_table_is_text_in_a_figure(without_records, tmp_path):
    hostile = without_records.comparison.replace({"metric": {"accuracy": "$x^<script>--></svg>"}})
    catalogue.write(dataclasses.replace(without_records, comparison=hostile), tmp_path / "figures")
    for path in (tmp_path / "figures").glob("*.svg"):
        text = path.read_text()
        assert "<script" not in text and text.count("</svg>") == 1, path.name


def test_nothing_finished_is_nothing_to_draw(without_records, tmp_path):
    empty = without_records.comparison.assign(mean=None, delta_vs_reference=None)
    catalogue.write(dataclasses.replace(without_records, comparison=empty), tmp_path / "figures")
    assert list((tmp_path / "figures").iterdir()) == []
