from graft.registry.scenarios import scenarios
from graft.reporting import answer, captions, csv_files, tables
from graft.reporting.page.contents import contents
from tests.unit.reporting.page.conftest import THESEUS

VALUES = {"finetune.big": {0: 0.9, 1: 0.91}, "finetune.tiny": {0: 0.8, 1: 0.8}, THESEUS: {0: 0.7, 1: 0.72}}


def test_a_task_has_its_comparison_and_its_figures_in_the_order_of_the_report(reported):
    (part,) = reported(VALUES).tasks
    assert part.name == "rte" and len(part.comparison.rows) >= 3
    shown = (*part.figures, *part.more)
    drawn = [file.name.removesuffix(".rte.svg") for *_, file in shown]
    assert {"differences", "seeds"} < {*drawn} and all(file.is_file() for *_, file in shown)
    texts = captions.by_name(scenarios([None]))
    assert [tuple(told) for *told, _ in shown] == [texts[name] for name in drawn]
    folded = [file.name.removesuffix(".rte.svg") for *_, file in part.more]
    assert folded == [name for name in texts if name in folded]


def test_the_two_frontiers_of_the_most_telling_scenario_come_first(reported, paths):
    (part,) = reported(VALUES).tasks
    drawn = [file.name for *_, file in part.figures]
    assert len(drawn) == 2 and drawn[0].startswith("frontier-training") and drawn[1].startswith("frontier-inference")
    told = csv_files.read_csv(paths.tables / csv_files.ANSWER)
    assert answer.most_telling(told, "rte") in part.why


def test_without_merges_the_metric_against_costs_comes_first(reported):
    (part,) = reported({"finetune.big": {0: 0.9}, "finetune.tiny": {0: 0.8}}).tasks
    assert [file.name for *_, file in part.figures] == [f"{name}.rte.svg" for name in captions.COSTS]
    assert part.why == ""


def test_the_table_of_a_task_is_ranked_and_has_its_verdicts_column_and_few_others(reported):
    (part,) = reported(VALUES).tasks
    at = part.comparison.columns.index("accuracy")
    means = [row[at].order for row in part.comparison.rows]
    known = [mean for mean in means if mean is not None]
    assert known == sorted(known, reverse=True) and means[: len(known)] == known
    assert not {"shared", "parameters", "Pareto", "Δ small"} & {*part.comparison.columns}
    assert "Pareto" not in part.comparison.notes[0]


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
