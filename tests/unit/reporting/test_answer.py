"""The answer, from run.json files: what to use, and whether merging pays."""

import io
import shutil

import pytest
from rich.console import Console

from graft.io import files
from graft.registry.scenarios import scenarios
from graft.reporting import answer, csv_files, formats, tables, terminal
from graft.study.grid import Grid

SCENARIOS = scenarios([None])
BIG, TINY, INTERPOLATE = "finetune.big", "finetune.tiny", "merge.interpolate.tiny-into-big"


@pytest.fixture
def answered(paths, write_run, study):
    """Rows of answer.csv by scenario, of values by system; `zero`: whether the merge chose strength 0."""

    def made(values, seeds=12, zero=False, family=("merge.*",)):
        for seed in range(seeds):
            tuned = {f"{TINY}/rte/seed-{seed}": 100}
            parts = {BIG: {f"{BIG}/rte/seed-{seed}": 120}, TINY: tuned}
            parts[INTERPOLATE] = tuned | {f"{INTERPOLATE}/rte/seed-{seed}": 25}
            for system, value in values.items():
                own = parts[system]
                value += 0.01 * (seed % 3)
                path = write_run(system, seed, value, train_flops=sum(own.values()), parts=own)
                if zero and system == INTERPOLATE:
                    choice = {"name": "strength", "metric": "accuracy", "chosen": 0.0, "searched": []}
                    files.write_json(path, files.read_json(path) | {"choices": [choice]})
        grid = Grid(study(seeds=12, statistics={"draws": 400, "primary_family": family}))
        tables.write_runs(grid, paths)
        tables.write_comparison(grid, paths)
        table = csv_files.read_csv(paths.tables / csv_files.ANSWER)
        assert tuple(table.columns) == answer.COLUMNS
        return {row["scenario"]: row for row in formats.records(table)}

    return made


def test_what_is_best_on_select_is_used_and_its_cost_is_the_scenarios(answered):
    found = answered({BIG: 0.7, TINY: 0.5, INTERPOLATE: 0.9})
    assert [found[name]["use"] for name in SCENARIOS] == [INTERPOLATE, INTERPOLATE]
    assert [found[name]["train_flops"] for name in SCENARIOS] == [125, 25]
    assert [found[name]["rival"] for name in SCENARIOS] == [BIG, TINY]
    assert found["small-given"]["what"] == "merge" and found["small-given"]["mean"] == pytest.approx(0.91)
    for row in found.values():
        assert row["in_words"].startswith("Yes: merge.interpolate has accuracy 0.910") and row["verdict"] == "better"


def test_a_system_that_is_no_merge_is_named_where_it_is_best(answered):
    found = answered({BIG: 0.7, TINY: 0.9, INTERPOLATE: 0.6})
    for row in found.values():
        assert (row["use"], row["what"], row["merge"], row["rival"]) == (TINY, "finetune", INTERPOLATE, TINY)
        assert row["in_words"].startswith("No: ") and row["in_words"].count("worse") == 1
    assert found["small-given"]["train_flops"] == 0


def test_a_merge_at_strength_0_is_the_large_model_under_a_head(answered):
    row = answered({BIG: 0.7, TINY: 0.5, INTERPOLATE: 0.9}, zero=True)["from-scratch"]
    assert row["what"] == answer.UNMERGED
    assert row["in_words"].startswith("No, what is better is no merge: merge.interpolate (the large model under a head")


def test_few_seeds_are_said_to_be_too_few_and_nothing_is_claimed(answered):
    for row in answered({BIG: 0.7, TINY: 0.5, INTERPOLATE: 0.9}, seeds=3).values():
        assert row["in_words"].startswith("No verdict: 3 seeds; ") and row["verdict"] is None
        assert "reach" not in row["in_words"] and "better" not in row["in_words"] and "[" not in row["in_words"]


def test_enough_seeds_say_what_the_large_model_alone_takes(answered):
    row = answered({BIG: 0.7, TINY: 0.5, INTERPOLATE: 0.6})["small-given"]
    assert "The large model alone reaches its mean with 4.8 [4.8, " in row["in_words"]


def test_a_control_is_named_if_it_wins_against_more_than_labels(answered, write_run):
    control = "control.head-only.labelled.tiny-into-big"
    values = {BIG: 0.7, TINY: 0.5, INTERPOLATE: 0.6}
    for flops, named in ((1, False), (120, True)):
        write_run("majority", "all", 0.5, train_flops=0)
        write_run(control, "all", 0.8, train_flops=flops, parts={control: flops})
        found = answered(values)
        assert (
            found["from-scratch"]["in_words"].endswith("Controls ahead of their rivals: control.head-only.labelled.")
            == named
        )
        assert found["small-given"]["in_words"].endswith("Controls ahead of their rivals: control.head-only.labelled.")


def test_equal_ones_and_those_outside_of_the_family_do_not_get_a_yes(answered):
    row = answered({BIG: 0.7, TINY: 0.7, INTERPOLATE: 0.7})["small-given"]
    assert row["difference"] == 0 and row["in_words"].startswith(("No: ", "Undecided: "))
    outside = answered({BIG: 0.7, TINY: 0.5, INTERPOLATE: 0.9}, family=["merge.theseus.*"])
    assert outside["small-given"]["in_words"].startswith("No verdict: not in the primary family; ")


def test_without_a_merge_or_a_rival_there_is_no_answer(answered, paths):
    assert answered({BIG: 0.7})["from-scratch"]["in_words"] == "No answer: no merge has finished."
    shutil.rmtree(paths.root / "runs")
    row = answered({INTERPOLATE: 0.7})["from-scratch"]
    assert "no classical system costs no more to train" in row["in_words"] and row["use"] == INTERPOLATE


def test_readers_see_the_scenario_they_ask_for_without_the_pairs_name(answered, paths):
    answered({BIG: 0.7, TINY: 0.5, INTERPOLATE: 0.9}, zero=True)
    table = csv_files.read_csv(paths.tables / csv_files.ANSWER)
    matched = csv_files.read_csv(paths.tables / csv_files.MATCHED)
    both, one = answer.section(table), answer.section(table, "small-given")
    assert [row[1].text for row in both.rows] == [*SCENARIOS] and len(one.rows) == 1
    assert one.columns[-1] == "does merging pay?" and one.rows[0][2].text == f"merge.interpolate ({answer.UNMERGED})"
    shown = io.StringIO()
    for part in [*terminal.answer_table(table, "small-given"), *terminal.matched_table(matched, "small-given")]:
        Console(width=200, file=shown).print(part)
    lines = [" ".join(line.split()) for line in shown.getvalue().splitlines()]
    assert lines[0].startswith("task scenario use score") and "from-scratch" not in shown.getvalue()
    assert any(line.startswith("rte, small-given: No, what is better is no merge:") for line in lines)
    assert any(line.startswith("small-given rte merge.interpolate own finetune.tiny") for line in lines)
    assert "from-scratch: you have" in both.notes[0] and "from-scratch: you have" not in one.notes[0]


def test_the_answer_in_short_has_a_row_per_scenario_and_each_in_words(answered, paths):
    answered({BIG: 0.7, TINY: 0.5, INTERPOLATE: 0.9})
    table = csv_files.read_csv(paths.tables / csv_files.ANSWER)
    (part,) = answer.by_task(table)
    assert [row[0].text for row in part.rows] == [*SCENARIOS] and part.columns == answer.SHORT
    assert {row[1].text for row in part.rows} == {"Yes"} and part.rows[0][3].text == "merge.interpolate"
    assert [note.split(":")[0] for note in part.notes] == [*SCENARIOS]
    assert answer.headline(table) == f"Yes, in 2 of 2 cases ({'; '.join(f'rte, {name}' for name in SCENARIOS)})."


def test_the_headline_claims_nothing_that_is_not_shown(answered, paths):
    for values, seeds, begins in (
        ({BIG: 0.7, TINY: 0.9, INTERPOLATE: 0.6}, 12, "No, in none of 2 cases: "),
        ({BIG: 0.7, TINY: 0.5, INTERPOLATE: 0.9}, 3, "It is not shown to pay in any of 2 cases: 2 without a verdict."),
    ):
        shutil.rmtree(paths.root / "runs", ignore_errors=True)
        answered(values, seeds=seeds)
        table = csv_files.read_csv(paths.tables / csv_files.ANSWER)
        assert answer.headline(table).startswith(begins)
        assert not any(row[1].text.startswith("Yes") for part in answer.by_task(table) for row in part.rows)
    assert answer.headline(table.iloc[:0]) == "There is no answer yet: nothing has finished."


def test_the_most_telling_scenario_is_the_best_case_for_merging(answered, paths):
    answered({BIG: 0.95, TINY: 0.5, INTERPOLATE: 0.9})
    table = csv_files.read_csv(paths.tables / csv_files.ANSWER)
    # From scratch the large model costs no more than the merge, and is better; with the small one given it is dearer.
    assert answer.most_telling(table, "rte") == "small-given"
    assert answer.most_telling(table.assign(difference=None), "rte") is None
