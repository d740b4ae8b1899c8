import pytest

from graft.reporting import formats
from graft.reporting.differences import merges_against
from tests.unit.reporting.test_comparison import BIG, INTERPOLATE, MANY, row_of

THESEUS = "merge.theseus.label-free.tiny-into-big"
CONTROL = "control.head-only.label-free.tiny-into-big"
LABELLED = "control.head-only.labelled.tiny-into-big"


def test_a_merge_is_compared_with_the_control_of_its_head(study, runs_of, compare):
    values = {THESEUS: {0: 0.60, 1: 0.62}, CONTROL: {0: 0.50, 1: 0.56}, LABELLED: {"all": 0.9}}
    # The labelled control is the better one on select; it has another head, though.
    table = compare(runs_of(values, select={CONTROL: 0.7, LABELLED: 0.8}), study())
    assert row_of(table, THESEUS)["delta_vs_head_only"] == pytest.approx(0.08)  # of 0.10, 0.06
    assert row_of(table, CONTROL)["delta_vs_head_only"] is None


def test_a_merge_is_compared_with_the_control_that_is_fitted_as_its_head(study, runs_of, compare):
    merge = {"theseus": {"heads": ["labelled"], "fit_rows": 32}, "interpolate": {}}
    few, merged = "control.head-only.labelled.rows-32.tiny-into-big", "merge.theseus.labelled.tiny-into-big"
    values = {merged: {0: 0.60}, LABELLED: {"all": 0.90}, few: {"all": 0.50}}
    table = compare(runs_of(values), study(systems={"merge": merge, "control": {"head-only": {}}}))
    assert row_of(table, merged)["delta_vs_head_only"] == pytest.approx(0.1)


def test_an_oracle_has_no_verdict_and_is_neither_best_nor_on_the_front(study, runs_of, compare):
    systems = {"merge": {"theseus": {"heads": ["labelled"]}, "interpolate": {}}, "oracle": {"of": ["theseus"]}}
    oracle, tuned, seeds = "oracle.theseus.labelled.big", "finetune.big", range(12)
    values = {tuned: {n: 0.80 + n / 1000 for n in seeds}, INTERPOLATE: {n: 0.60 for n in seeds}}
    values |= {oracle: {n: 0.95 for n in seeds}}
    family = {"primary_family": ["*"]}
    whole = study(systems=systems, seeds=12, statistics=family)
    table = compare(runs_of(values, flops={oracle: 1}), whole)
    row = row_of(table, oracle)
    assert row["kind"] == "oracle" and row["verdict"] == "descriptive" and row["p_holm"] is None
    assert row["near_best"] is False and row["pareto"] is False and row["chosen"] is False
    assert row_of(table, tuned)["near_best"] is True and row_of(table, tuned)["pareto"] is True
    assert row_of(table, INTERPOLATE)["chosen"] is True
    assert formats.best_rows(table) == {list(table["system"]).index(tuned)}


def test_a_merge_without_heads_is_compared_with_the_control_that_is_best_on_select(study, runs_of, compare):
    values = {INTERPOLATE: {0: 0.60, 1: 0.62}, CONTROL: {0: 0.50, 1: 0.56}, LABELLED: {"all": 0.90}}
    runs = runs_of(values, select={CONTROL: 0.8, LABELLED: 0.7})
    assert row_of(compare(runs, study()), INTERPOLATE)["delta_vs_head_only"] == pytest.approx(0.08)
    runs = runs_of(values, select={CONTROL: 0.7, LABELLED: 0.8})
    assert row_of(compare(runs, study()), INTERPOLATE)["delta_vs_head_only"] == pytest.approx(-0.29)


def test_each_system_is_compared_with_the_large_model_of_its_own_pair(study, runs_of, compare):
    models = study().model_dump(by_alias=True)["models"]
    two = study(
        models=models | {"huge": models["big"]},
        pairs=[{"large": "big", "small": "tiny"}, {"large": "huge", "small": "tiny"}],
    )
    other = "merge.interpolate.tiny-into-huge"
    values = {"finetune.big": {0: 0.6}, "finetune.huge": {0: 0.8}, INTERPOLATE: {0: 0.5}, other: {0: 0.5}}
    table = compare(runs_of(values | {"majority": {"all": 0.4}}), two)
    deltas = {system: round(row_of(table, system)["delta_vs_reference"], 9) for system in table["system"]}
    assert deltas == {"finetune.big": 0, "finetune.huge": 0, INTERPOLATE: -0.1, other: -0.3, "majority": -0.2}


def test_another_small_model_is_a_control_and_its_merge_is_compared_with_itself(study, runs_of, compare):
    models = study().model_dump(by_alias=True)["models"]
    systems = {
        "merge": {"theseus": {"heads": ["labelled", "label-free"]}},
        "control": {"head-only": {}, "other-small": {"models": ["plain"], "of": ["theseus"]}},
    }
    other = study(
        models=models | {"plain": {"role": "small", "source": {"kind": "random", "like": "tiny"}}}, systems=systems
    )
    merged, unlabelled = (f"control.other-small.theseus.{head}.plain-into-big" for head in ("labelled", "label-free"))
    values = {"finetune.big": {0: 0.9}, "finetune.tiny": {0: 0.8}, "finetune.plain": {0: 0.5}}
    values |= {merged: {0: 0.6}, unlabelled: {0: 0.6}, LABELLED: {"all": 0.55}, CONTROL: {0: 0.5}}
    table = compare(runs_of(values), other)
    assert {row_of(table, system)["kind"] for system in ("finetune.plain", merged)} == {"control"}
    assert row_of(table, merged)["delta_vs_small"] == pytest.approx(0.1)
    assert row_of(table, merged)["delta_vs_reference"] == pytest.approx(-0.3)
    assert row_of(table, "finetune.plain")["delta_vs_reference"] == pytest.approx(-0.4)
    # The labelled head alone is one for all small models; the others are made of theirs.
    assert row_of(table, merged)["delta_vs_head_only"] == pytest.approx(0.05)
    assert row_of(table, unlabelled)["delta_vs_head_only"] is None


def test_verdicts_are_of_twelve_seeds_on_in_the_primary_family_only(study, runs_of, compare):
    big = {seed: 0.80 + 0.01 * (seed % 2) for seed in range(12)}
    values = {
        "finetune.big": big,
        "finetune.tiny": {seed: value - 0.2 for seed, value in big.items()},
        INTERPOLATE: {seed: value - 0.2 for seed, value in big.items()},
        THESEUS: {seed: value - 0.2 for seed, value in list(big.items())[:11]},
        "merge.theseus.labelled.tiny-into-big": {seed: value + 0.1 for seed, value in big.items()},
        "merge.theseus.transplant.tiny-into-big": big,
    }
    table = compare(runs_of(values), study(seeds=12))
    assert dict(zip(table["system"], table["verdict"], strict=True)) == {
        "finetune.big": "descriptive",
        "finetune.tiny": "descriptive",
        INTERPOLATE: "worse",
        THESEUS: None,
        "merge.theseus.labelled.tiny-into-big": "better",
        "merge.theseus.transplant.tiny-into-big": "equivalent",  # the same predictions
    }
    p_values = table.set_index("system")[["p_value", "p_holm"]]
    assert p_values.loc["finetune.tiny"].tolist() == [p_values.loc[INTERPOLATE, "p_value"], None]
    assert p_values.loc["finetune.big"].tolist() == p_values.loc[THESEUS].tolist() == [None, None]
    # Of three in the family: the two smallest times three, and the largest is 1.
    assert p_values.loc[INTERPOLATE, "p_holm"] == pytest.approx(3 * p_values.loc[INTERPOLATE, "p_value"])
    assert p_values.loc["merge.theseus.transplant.tiny-into-big", "p_holm"] == 1


def test_a_margin_that_a_study_does_not_say_is_the_task_tables(study, runs_of, compare):
    big = {seed: 0.80 for seed in range(12)}
    values = {"finetune.big": big, INTERPOLATE: dict.fromkeys(big, 0.80)}
    for margins, verdict in (({}, "equivalent"), ({"rte": 0.01}, "equivalent")):
        table = compare(runs_of(values), study(seeds=12, statistics={"margins": margins}))
        assert row_of(table, INTERPOLATE)["verdict"] == verdict
    assert study().margin("rte") == 0.03 and study(statistics={"margins": {"rte": 0.5}}).margin("rte") == 0.5


def near_best(table):
    return dict(zip(table["system"], table["near_best"], strict=True))


def test_what_is_shown_to_be_near_the_best_is_distinguished_from_what_is_not(study, runs_of, compare):
    # The margin of rte is 0.03. Theseus is not told apart from the best, but what is not known is not near.
    values = {"finetune.big": MANY, "finetune.tiny": {s: 0.605 + 0.018 * s for s in MANY}, "majority": {"all": 0.3}}
    values[THESEUS] = {s: 0.68 - 0.02 * s for s in MANY}
    table = compare(runs_of(values | {INTERPOLATE: {0: "failed"}}), study(seeds=5))
    near = {"finetune.big": True, "finetune.tiny": True, "majority": False, THESEUS: False, INTERPOLATE: False}
    assert near_best(table) == near
    unknown = study(seeds=5, statistics={"margins": {"rte": 0.0001}})
    assert near_best(compare(runs_of(values), unknown)) == dict.fromkeys(values, False) | {"finetune.tiny": True}


def test_without_an_interval_nothing_is_near_the_best(study, runs_of, compare):
    table = compare(runs_of({"finetune.big": BIG, "finetune.tiny": BIG | {0: 0.599}}), study())
    assert near_best(table) == {"finetune.big": True, "finetune.tiny": False}


OTHER_SMALL = "control.other-small.theseus.labelled.plain-into-big"
MERGE = "merge.theseus.labelled.tiny-into-big"


@pytest.mark.parametrize(
    ("control", "kind", "merges"),
    [
        (OTHER_SMALL, "control", [INTERPOLATE, MERGE]),
        ("control.shuffled.theseus.labelled.tiny-into-big", "control", [INTERPOLATE, MERGE]),
        (OTHER_SMALL.replace("labelled", "transplant"), "control", [INTERPOLATE]),
        (OTHER_SMALL.replace("big", "huge"), "control", [INTERPOLATE]),
        ("majority", "baseline", [INTERPOLATE]),
        ("finetune.plain", "control", [INTERPOLATE]),
        ("finetune.big", "finetune", []),
    ],
)
def test_a_control_must_lose_to_the_chosen_merge_and_to_those_it_is_of(control, kind, merges):
    known = ["finetune.big", INTERPOLATE, MERGE, control]
    assert merges_against(control, kind, known, INTERPOLATE) == merges
    assert merges_against(control, kind, known, None) == merges[1:]
    assert merges_against(control, kind, known[:-1], INTERPOLATE) == ([] if control != "finetune.big" else merges)


def test_a_soup_gets_no_verdict_and_no_interval(study, runs_of, compare):
    twelve = {seed: 0.8 + 0.001 * seed for seed in range(12)}
    systems = {"soup": {"methods": {"uniform": {}}, "members": 3}, "majority": {}}
    made = study(seeds=12, systems=systems, statistics={"primary_family": ["soup.*", "majority"]})
    values = {"finetune.big": twelve, "majority": {"all": 0.5}, "soup.uniform.big": {"all": 0.9}}
    row = row_of(compare(runs_of(values), made), "soup.uniform.big")
    assert row["mean"] == pytest.approx(0.9) and row["delta_vs_reference"] == pytest.approx(0.0945)
    for column in ("ci_low", "delta_ci_low", "p_value", "p_holm", "verdict"):
        assert row[column] is None, column
    assert row_of(compare(runs_of(values), made), "majority")["verdict"] == "worse"


def test_the_merge_that_is_best_on_select_is_marked(study, runs_of, compare):
    values = {"finetune.big": BIG, INTERPOLATE: {0: 0.5}, THESEUS: {0: 0.9}}
    table = compare(runs_of(values, select={INTERPOLATE: 0.7, "finetune.big": 0.8}), study())
    assert list(table[table["chosen"] == True]["system"]) == [INTERPOLATE]  # noqa: E712
