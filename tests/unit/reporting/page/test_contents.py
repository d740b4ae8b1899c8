from graft.reporting import captions, tables
from graft.reporting.page.contents import contents
from tests.unit.reporting.page.conftest import THESEUS

VALUES = {"finetune.big": {0: 0.9, 1: 0.91}, "finetune.tiny": {0: 0.8, 1: 0.8}, THESEUS: {0: 0.7, 1: 0.72}}


def test_a_task_has_its_comparison_and_its_figures_in_the_order_of_the_report(reported):
    (part,) = reported(VALUES).tasks
    assert part.name == "rte" and len(part.comparison.rows) >= 3
    drawn = [file.name.removesuffix(".rte.svg") for *_, file in part.figures]
    assert len(drawn) == 4 and drawn == [name for name in captions.FIGURES if name in drawn]
    assert all(file.is_file() for *_, file in part.figures)
    assert [texts for *texts, _ in part.figures] == [list(captions.FIGURES[name]) for name in drawn]


def test_a_report_names_its_study_config_and_methods(reported):
    found = reported(VALUES)
    assert found.study == "s" and "theseus:" in found.config and "name: s" in found.config
    assert [card.name for card in found.cards] == ["theseus", "interpolate"]
    assert ("finished runs", "6") in found.circumstances and not any(name.startswith("rte/finetune.big/seed-0")
        for name, *_ in found.absent)  # fmt: skip


def test_it_is_made_from_the_tables_that_stand_there(reported, grid, paths, write_run):
    before = reported(VALUES)
    write_run("majority", "all", 0.5)
    assert contents(grid, paths).tasks == before.tasks
    tables.write_runs(grid, paths)
    tables.write_comparison(grid, paths)
    assert contents(grid, paths).tasks != before.tasks
