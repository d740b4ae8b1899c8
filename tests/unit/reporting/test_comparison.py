import pandas as pd
import pytest

from graft.reporting.comparison import COLUMNS, pareto_front

BIG = {0: 0.60, 1: 0.64, 2: 0.68}
TINY = {0: 0.55, 1: 0.57, 2: 0.59}
INTERPOLATE = "merge.interpolate.tiny-into-big"
THESEUS = "merge.theseus.label-free.tiny-into-big"
CONTROL = "control.head-only.label-free.tiny-into-big"
LABELLED = "control.head-only.labelled.tiny-into-big"


def _row(table, system):
    return table[table["system"] == system].iloc[0]


def test_columns_are_those_of_the_contract_in_its_order(study, runs_of, compare):
    table = compare(runs_of({"finetune.big": BIG}), study())
    assert tuple(table.columns) == COLUMNS
    assert ",".join(COLUMNS[:23]) == (
        "task,system,kind,label_use,n_seeds,metric,mean,ci_low,ci_high,delta_vs_reference,delta_ci_low,delta_ci_high,"
        "p_value,p_holm,verdict,delta_vs_small,delta_vs_head_only,train_flops,train_flops_ratio,inference_flops,"
        "inference_flops_ratio,parameters,pareto"
    )


def test_mean_and_spread_over_seeds(study, runs_of, compare):
    row = _row(compare(runs_of({"finetune.big": BIG}), study()), "finetune.big")
    assert row["mean"] == pytest.approx(0.64) and row["sd"] == pytest.approx(0.04)
    assert row["ci_low"] < 0.64 < row["ci_high"]
    assert (row["n_seeds"], row["metric"], row["verdict"]) == (3, "accuracy", "descriptive")
    assert (row["p_value"], row["p_holm"], row["delta_vs_reference"]) == (None, None, 0)


def test_differences_are_paired_by_seed(study, runs_of, compare):
    values = {"finetune.big": BIG, "finetune.tiny": TINY, INTERPOLATE: {0: 0.50, 1: 0.56, 2: 0.62}}
    row = _row(compare(runs_of(values), study()), INTERPOLATE)
    assert row["delta_vs_reference"] == pytest.approx(-0.08)  # of -0.10, -0.08, -0.06
    assert row["delta_ci_low"] < -0.08 < row["delta_ci_high"]
    assert row["delta_vs_small"] == pytest.approx(-0.01)  # of -0.05, -0.01, 0.03


def test_a_system_for_all_seeds_is_compared_with_every_seed(study, runs_of, compare):
    row = _row(compare(runs_of({"finetune.big": BIG, "majority": {"all": 0.5}}), study()), "majority")
    assert row["delta_vs_reference"] == pytest.approx(-0.14)
    assert row["delta_ci_low"] < -0.14 < row["delta_ci_high"]
    # One run for all seeds is uncertain by its examples alone: 3.1 points with 1,000 of them.
    assert row["ci_low"] == pytest.approx(0.469, abs=0.006) and row["ci_high"] == pytest.approx(0.531, abs=0.006)
    assert (row["n_seeds"], row["sd"]) == (1, None)


def test_missing_and_failed_runs_are_counted_and_leave_their_seed_out_of_the_pairs(study, runs_of, compare):
    values = {"finetune.big": BIG, INTERPOLATE: {0: 0.50, 1: "failed", 2: "missing"}}
    row = _row(compare(runs_of(values), study()), INTERPOLATE)
    assert (row["n_seeds"], row["n_expected"], row["n_missing"], row["n_failed"]) == (1, 3, 1, 1)
    assert row["delta_vs_reference"] == pytest.approx(-0.10)  # seed 0 alone: 0.50 - 0.60
    assert (row["ci_low"], row["delta_ci_low"]) == (None, None)


def test_a_system_without_any_finished_run_keeps_its_row(study, runs_of, compare):
    table = compare(runs_of({"finetune.big": BIG, INTERPOLATE: {0: "failed", 1: "missing", 2: "missing"}}), study())
    row = _row(table, INTERPOLATE)
    assert (row["mean"], row["delta_vs_reference"], row["train_flops"], row["verdict"]) == (None, None, None, None)
    assert row["pareto"] is False


def test_a_missing_reference_leaves_differences_and_ratios_empty(study, runs_of, compare):
    row = _row(compare(runs_of({"finetune.big": {0: "failed"}, INTERPOLATE: {0: 0.5}}), study()), INTERPOLATE)
    assert (row["mean"], row["delta_vs_reference"], row["train_flops_ratio"]) == (0.5, None, None)


def test_a_merge_is_compared_with_the_control_of_its_head(study, runs_of, compare):
    values = {THESEUS: {0: 0.60, 1: 0.62}, CONTROL: {0: 0.50, 1: 0.56}, LABELLED: {"all": 0.9}}
    # The labelled control is the better one on select; it has another head, though.
    table = compare(runs_of(values, select={CONTROL: 0.7, LABELLED: 0.8}), study())
    assert _row(table, THESEUS)["delta_vs_head_only"] == pytest.approx(0.08)  # of 0.10, 0.06
    assert _row(table, CONTROL)["delta_vs_head_only"] is None


def test_a_merge_without_heads_is_compared_with_the_control_that_is_best_on_select(study, runs_of, compare):
    values = {INTERPOLATE: {0: 0.60, 1: 0.62}, CONTROL: {0: 0.50, 1: 0.56}, LABELLED: {"all": 0.90}}
    runs = runs_of(values, select={CONTROL: 0.8, LABELLED: 0.7})
    assert _row(compare(runs, study()), INTERPOLATE)["delta_vs_head_only"] == pytest.approx(0.08)
    runs = runs_of(values, select={CONTROL: 0.7, LABELLED: 0.8})
    assert _row(compare(runs, study()), INTERPOLATE)["delta_vs_head_only"] == pytest.approx(-0.29)


def test_costs_are_means_and_ratios_to_the_reference(study, runs_of, compare):
    values = {"finetune.big": BIG, "finetune.tiny": TINY}
    row = _row(compare(runs_of(values, flops={"finetune.big": 400}), study()), "finetune.tiny")
    assert (row["train_flops"], row["train_flops_ratio"], row["inference_flops_ratio"]) == (100, 0.25, 1.0)


def test_each_system_is_compared_with_the_large_model_of_its_own_pair(study, runs_of, compare):
    models = study().model_dump(by_alias=True)["models"]
    two = study(
        models=models | {"huge": models["big"]},
        pairs=[{"large": "big", "small": "tiny"}, {"large": "huge", "small": "tiny"}],
    )
    other = "merge.interpolate.tiny-into-huge"
    values = {"finetune.big": {0: 0.6}, "finetune.huge": {0: 0.8}, INTERPOLATE: {0: 0.5}, other: {0: 0.5}}
    table = compare(runs_of(values | {"majority": {"all": 0.4}}), two)
    deltas = {system: round(_row(table, system)["delta_vs_reference"], 9) for system in table["system"]}
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
    assert {_row(table, system)["kind"] for system in ("finetune.plain", merged)} == {"control"}
    assert _row(table, merged)["delta_vs_small"] == pytest.approx(0.1)
    assert _row(table, merged)["delta_vs_reference"] == pytest.approx(-0.3)
    assert _row(table, "finetune.plain")["delta_vs_reference"] == pytest.approx(-0.4)
    # The labelled head alone is one for all small models; the others are made of theirs.
    assert _row(table, merged)["delta_vs_head_only"] == pytest.approx(0.05)
    assert _row(table, unlabelled)["delta_vs_head_only"] is None


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
        THESEUS: "descriptive",
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
        assert _row(table, INTERPOLATE)["verdict"] == verdict
    assert study().margin("rte") == 0.03 and study(statistics={"margins": {"rte": 0.5}}).margin("rte") == 0.5


def test_what_is_within_noise_of_the_best_is_distinguished_from_what_is_not(study, runs_of, compare):
    values = {"finetune.big": BIG, "finetune.tiny": {0: 0.61, 1: 0.63, 2: 0.67}, "majority": {"all": 0.3}}
    table = compare(runs_of(values | {INTERPOLATE: {0: "failed"}}), study())
    assert dict(zip(table["system"], table["near_best"], strict=True)) == {
        "finetune.big": True,
        "finetune.tiny": True,
        "majority": False,
        INTERPOLATE: False,
    }


def test_the_merge_that_is_best_on_select_is_marked(study, runs_of, compare):
    values = {"finetune.big": BIG, INTERPOLATE: {0: 0.5}, THESEUS: {0: 0.9}}
    table = compare(runs_of(values, select={INTERPOLATE: 0.7, "finetune.big": 0.8}), study())
    assert list(table[table["chosen"] == True]["system"]) == [INTERPOLATE]  # noqa: E712


def test_degenerate_runs_are_counted(study, runs_of, compare):
    runs = runs_of({"finetune.big": BIG})
    runs.loc[1, "degenerate"] = True
    assert compare(runs, study()).iloc[0]["degenerate"] == 1


def test_pareto_front_holds_what_nothing_dominates():
    costs = pd.Series([0, 10, 10, 20, 20, 30, None], dtype=object)
    metrics = pd.Series([0.5, 0.7, 0.6, 0.7, 0.8, 0.8, None], dtype=object)
    assert pareto_front(costs, metrics) == [True, True, False, False, True, False, False]


def test_equal_points_are_both_on_the_front():
    assert pareto_front(pd.Series([1, 1], dtype=object), pd.Series([0.5, 0.5], dtype=object)) == [True, True]
