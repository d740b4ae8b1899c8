import pytest

from graft.reporting.significance import COLUMNS, needed_for, significance

BIG, TINY, THESEUS = "finetune.big", "finetune.tiny", "merge.theseus.labelled.tiny-into-big"
VALUES = {
    name: {seed: start + step * (seed % 2) for seed in range(12)}
    for name, start, step in ((BIG, 0.9, 0.02), (TINY, 0.7, 0.04), (THESEUS, 0.8, 0.06))
}


@pytest.fixture
def table(study, runs_of, tested):
    return significance(*tested(runs_of(VALUES), study()))


def row(table, system, versus):
    (found,) = table[(table["system"] == system) & (table["versus"] == versus)].to_dict("records")
    return found


def test_every_difference_has_a_row_but_that_of_a_system_to_itself(table):
    assert tuple(table.columns) == COLUMNS
    assert {(found.system, found.versus) for found in table.itertuples()} == {
        *((BIG, "small"), (TINY, "reference"), (THESEUS, "reference"), (THESEUS, "small"))
    }
    assert COLUMNS[-4:] == ("p_improvement", "p_improvement_low", "p_improvement_high", "aso_epsilon")
    found = row(table, THESEUS, "reference")
    assert (found["other"], found["n_seeds"], found["n_examples"]) == (BIG, 12, 1000)
    assert found["difference"] == pytest.approx(-0.08) and row(table, THESEUS, "small")["difference"] > 0


def test_a_difference_lies_inside_of_all_its_intervals(table):
    found = row(table, TINY, "reference")
    for name in ("these", "new", "inner"):
        assert found[f"{name}_low"] <= found["difference"] <= found[f"{name}_high"]
    # Equivalence is tested on both sides, so that each takes twice the share of a verdict's.
    assert found["new_low"] <= found["inner_low"] and found["inner_high"] <= found["new_high"]


def test_a_control_is_compared_with_the_merges_that_must_beat_it(study, runs_of, tested):
    control = "control.shuffled.theseus.labelled.tiny-into-big"
    systems = {"merge": {"theseus": {"heads": ["labelled"]}}, "control": {"shuffled": {"of": ["theseus"]}}}
    runs = runs_of(VALUES | {control: VALUES[TINY]})
    table = significance(*tested(runs, study(seeds=12, systems=systems)))
    found = row(table, control, "merge")
    assert found["other"] == THESEUS and found["new_high"] < 0 and found["p_holm"] is None


def test_runs_are_compared_as_distributions_too(table):
    found = row(table, THESEUS, "reference")
    # Of 12 each, those of the merge are 0.80 and 0.86, those of the reference 0.90 and 0.92: none wins.
    assert (found["p_improvement"], found["p_improvement_low"], found["aso_epsilon"]) == (0, 0, 1)
    assert 0 < found["p_improvement_high"] < 0.3
    found = row(table, BIG, "small")
    assert (found["p_improvement"], found["aso_epsilon"]) == (1, 0)


def test_corrected_p_values_and_verdicts_are_of_the_reference_alone(table):
    assert row(table, THESEUS, "small")["verdict"] is None and row(table, THESEUS, "reference")["verdict"] == "worse"


def test_few_seeds_leave_intervals_and_p_values_empty(study, runs_of, tested):
    few = {system: {seed: of[seed] for seed in range(4)} for system, of in VALUES.items()}
    table = significance(*tested(runs_of(few), study()))
    for column in (
        "these_low",
        "new_high",
        "inner_low",
        "p_value",
        "p_holm",
        "verdict",
        "p_improvement",
        "aso_epsilon",
    ):
        assert table[column].isna().all(), column
    assert table["difference"].notna().all() and table["seed_sd"].notna().all()


def test_what_it_would_take_is_told_where_seeds_show_how_much_they_differ(study, runs_of, tested):
    rows, tasks = tested(runs_of(VALUES), study())
    (difference,) = [one.to_reference for one in rows if one.system.name == THESEUS]
    more, less = needed_for(difference, 0.01, tasks["rte"]), needed_for(difference, 0.03, tasks["rte"])
    assert more.examples > less.examples > 0 and more.seeds >= less.seeds > 1
    assert needed_for(difference, None, tasks["rte"]) is None
    alone, tasks = tested(runs_of({BIG: {0: 0.9}, THESEUS: {0: 0.8}}), study())
    assert needed_for(alone[1].to_reference, 0.03, tasks["rte"]) is None
