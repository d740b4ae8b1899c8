import pandas as pd
import pytest

from graft.reporting import comparison
from graft.reporting.comparison import COLUMNS, compare, pareto_front, t_interval, to_markdown

BIG = {0: 0.60, 1: 0.64, 2: 0.68}
TINY = {0: 0.55, 1: 0.57, 2: 0.59}
INTERPOLATE = "merge.interpolate.tiny-into-big"
THESEUS = "merge.theseus.label-free.tiny-into-big"
CONTROL = "control.head-only.label-free.tiny-into-big"
LABELLED = "control.head-only.labelled.tiny-into-big"
T = 4.302652729911275  # Student's t with 2 degrees of freedom at 0.975


def _row(table, system):
    return table[table["system"] == system].iloc[0]


def test_columns_are_those_of_the_contract_in_its_order(study, runs_of):
    table = compare(runs_of({"finetune.big": BIG}), study())
    assert tuple(table.columns) == COLUMNS
    assert ",".join(COLUMNS[:23]) == (
        "task,system,kind,label_use,n_seeds,metric,mean,ci_low,ci_high,delta_vs_reference,delta_ci_low,delta_ci_high,"
        "p_value,p_holm,verdict,delta_vs_small,delta_vs_head_only,train_flops,train_flops_ratio,inference_flops,"
        "inference_flops_ratio,parameters,pareto"
    )


def test_mean_and_interval_over_seeds(study, runs_of):
    row = _row(compare(runs_of({"finetune.big": BIG}), study()), "finetune.big")
    assert row["mean"] == pytest.approx(0.64)
    half = T * 0.04 / 3**0.5  # the standard deviation of 0.60, 0.64, 0.68 is 0.04
    assert (row["ci_low"], row["ci_high"]) == (pytest.approx(0.64 - half), pytest.approx(0.64 + half))
    assert (row["n_seeds"], row["metric"], row["verdict"]) == (3, "accuracy", "descriptive")


def test_differences_are_paired_by_seed(study, runs_of):
    values = {"finetune.big": BIG, "finetune.tiny": TINY, INTERPOLATE: {0: 0.50, 1: 0.56, 2: 0.62}}
    row = _row(compare(runs_of(values), study()), INTERPOLATE)
    half = T * 0.02 / 3**0.5  # of -0.10, -0.08, -0.06
    assert row["delta_vs_reference"] == pytest.approx(-0.08)
    assert (row["delta_ci_low"], row["delta_ci_high"]) == (pytest.approx(-0.08 - half), pytest.approx(-0.08 + half))
    assert row["delta_vs_small"] == pytest.approx(-0.01)  # of -0.05, -0.01, 0.03


def test_a_system_for_all_seeds_is_compared_with_every_seed(study, runs_of):
    row = _row(compare(runs_of({"finetune.big": BIG, "majority": {"all": 0.5}}), study()), "majority")
    assert row["delta_vs_reference"] == pytest.approx(-0.14)
    half = T * 0.04 / 3**0.5
    assert row["delta_ci_high"] == pytest.approx(-0.14 + half)
    assert (row["ci_low"], row["ci_high"], row["n_seeds"]) == (None, None, 1)


def test_missing_and_failed_runs_are_counted_and_leave_their_seed_out_of_the_pairs(study, runs_of):
    values = {"finetune.big": BIG, INTERPOLATE: {0: 0.50, 1: "failed", 2: "missing"}}
    row = _row(compare(runs_of(values), study()), INTERPOLATE)
    assert (row["n_seeds"], row["n_expected"], row["n_missing"], row["n_failed"]) == (1, 3, 1, 1)
    assert row["delta_vs_reference"] == pytest.approx(-0.10)  # seed 0 alone: 0.50 - 0.60
    assert (row["ci_low"], row["delta_ci_low"]) == (None, None)


def test_a_system_without_any_finished_run_keeps_its_row(study, runs_of):
    table = compare(runs_of({"finetune.big": BIG, INTERPOLATE: {0: "failed", 1: "missing", 2: "missing"}}), study())
    row = _row(table, INTERPOLATE)
    assert (row["mean"], row["delta_vs_reference"], row["train_flops"], row["verdict"]) == (None, None, None, None)
    assert row["pareto"] is False


def test_a_missing_reference_leaves_differences_and_ratios_empty(study, runs_of):
    row = _row(compare(runs_of({"finetune.big": {0: "failed"}, INTERPOLATE: {0: 0.5}}), study()), INTERPOLATE)
    assert (row["mean"], row["delta_vs_reference"], row["train_flops_ratio"]) == (0.5, None, None)


def test_a_merge_is_compared_with_the_control_of_its_head(study, runs_of):
    values = {THESEUS: {0: 0.60, 1: 0.62}, CONTROL: {0: 0.50, 1: 0.56}, LABELLED: {"all": 0.9}}
    # The labelled control is the better one on select; it has another head, though.
    table = compare(runs_of(values, select={CONTROL: 0.7, LABELLED: 0.8}), study())
    assert _row(table, THESEUS)["delta_vs_head_only"] == pytest.approx(0.08)  # of 0.10, 0.06
    assert _row(table, CONTROL)["delta_vs_head_only"] is None


def test_a_merge_without_heads_is_compared_with_the_control_that_is_best_on_select(study, runs_of):
    values = {INTERPOLATE: {0: 0.60, 1: 0.62}, CONTROL: {0: 0.50, 1: 0.56}, LABELLED: {"all": 0.90}}
    runs = runs_of(values, select={CONTROL: 0.8, LABELLED: 0.7})
    assert _row(compare(runs, study()), INTERPOLATE)["delta_vs_head_only"] == pytest.approx(0.08)
    runs = runs_of(values, select={CONTROL: 0.7, LABELLED: 0.8})
    assert _row(compare(runs, study()), INTERPOLATE)["delta_vs_head_only"] == pytest.approx(-0.29)


def test_costs_are_means_and_ratios_to_the_reference(study, runs_of):
    values = {"finetune.big": BIG, "finetune.tiny": TINY}
    row = _row(compare(runs_of(values, flops={"finetune.big": 400}), study()), "finetune.tiny")
    assert (row["train_flops"], row["train_flops_ratio"], row["inference_flops_ratio"]) == (100, 0.25, 1.0)


def test_each_system_is_compared_with_the_large_model_of_its_own_pair(study, runs_of):
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


def test_another_small_model_is_a_control_and_its_merge_is_compared_with_itself(study, runs_of):
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


def test_verdicts_are_open_from_twelve_seeds_on_in_the_primary_family_only(study, runs_of):
    twelve = {seed: 0.5 for seed in range(12)}
    eleven = {seed: 0.5 for seed in range(11)}
    table = compare(runs_of({"finetune.big": twelve, INTERPOLATE: twelve, THESEUS: eleven}), study(seeds=12))
    verdicts = dict(zip(table["system"], table["verdict"], strict=True))
    assert verdicts == {"finetune.big": "descriptive", INTERPOLATE: None, THESEUS: "descriptive"}


def test_statistics_can_take_over_intervals_and_verdicts(study, runs_of):
    class Fixed:
        def of_mean(self, task, system):
            return comparison.Estimate(0.1, 0.0, 0.2, 3)

        def of_difference(self, task, system, other):
            return comparison.Estimate(0.3, 0.2, 0.4, 3)

    judge = lambda table, study: table.assign(verdict="better", p_value=0.01)  # noqa: E731
    row = compare(runs_of({"finetune.big": BIG}), study(), Fixed(), judge).iloc[0]
    assert (row["mean"], row["ci_low"], row["delta_ci_high"], row["verdict"], row["p_value"]) == (
        *(0.1, 0.0, 0.4),
        *("better", 0.01),
    )


def test_degenerate_runs_are_counted(study, runs_of):
    runs = runs_of({"finetune.big": BIG})
    runs.loc[1, "degenerate"] = True
    assert compare(runs, study()).iloc[0]["degenerate"] == 1


def test_pareto_front_holds_what_nothing_dominates():
    costs = pd.Series([0, 10, 10, 20, 20, 30, None], dtype=object)
    metrics = pd.Series([0.5, 0.7, 0.6, 0.7, 0.8, 0.8, None], dtype=object)
    assert pareto_front(costs, metrics) == [True, True, False, False, True, False, False]


def test_equal_points_are_both_on_the_front():
    assert pareto_front(pd.Series([1, 1], dtype=object), pd.Series([0.5, 0.5], dtype=object)) == [True, True]


def test_one_value_has_no_interval_and_none_has_no_estimate():
    assert t_interval([], 0.95) is None
    estimate = t_interval([0.5], 0.95)
    assert (estimate.mean, estimate.low, estimate.high, estimate.n) == (0.5, None, None, 1)


def test_markdown_has_a_table_per_task_with_the_best_in_bold_and_no_nan(study, runs_of):
    values = {"finetune.big": BIG, "finetune.tiny": TINY, INTERPOLATE: {0: 0.5, 1: "failed", 2: "missing"}}
    flops = {"finetune.big": 1.25e15}
    text = to_markdown(compare(runs_of(values, flops=flops), study()), 0.95)
    lines = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("|")}
    assert "## rte" in text and "accuracy" in lines["system"]
    assert "**0.640 [0.541, 0.739]**" in lines["finetune.big"] and text.count("**") == 2
    assert "reference" in lines["finetune.big"] and "1.2e15 (×1)" in lines["finetune.big"]
    assert "−0.100" in lines[INTERPOLATE] and "1/3, 1 missing, 1 failed" in lines[INTERPOLATE]
    assert "3 seeds" in text and "95%" in text
    assert "nan" not in text.lower() and "None" not in text
