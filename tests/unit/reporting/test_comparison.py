import pandas as pd
import pytest

from graft.reporting import formats
from graft.reporting.comparison import COLUMNS, pareto_front

BIG = {0: 0.60, 1: 0.64, 2: 0.68}
MANY = {seed: 0.60 + 0.02 * seed for seed in range(5)}
TINY = {0: 0.55, 1: 0.57, 2: 0.59}
INTERPOLATE = "merge.interpolate.tiny-into-big"


def row_of(table, system):
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
    row = row_of(compare(runs_of({"finetune.big": MANY}), study(seeds=5)), "finetune.big")
    assert row["mean"] == pytest.approx(0.64) and row["sd"] == pytest.approx(0.001**0.5)
    assert row["ci_low"] < 0.64 < row["ci_high"]
    assert (row["n_seeds"], row["metric"], row["verdict"]) == (5, "accuracy", None)
    assert (row["p_value"], row["p_holm"], row["delta_vs_reference"]) == (None, None, 0)


def test_few_seeds_have_a_mean_and_no_interval_p_value_or_verdict(study, runs_of, compare):
    values = {"finetune.big": BIG, "finetune.tiny": TINY, INTERPOLATE: TINY, "majority": {"all": 0.5}}
    table = compare(runs_of(values), study())
    assert table["mean"].notna().all() and table["delta_vs_reference"].notna().all() and table.iloc[0]["sd"] > 0
    for column in ("ci_low", "ci_high", "delta_ci_low", "delta_ci_high", "p_value", "p_holm", "verdict"):
        assert table[column].isna().all(), column


def test_differences_are_paired_by_seed(study, runs_of, compare):
    values = {"finetune.big": BIG, "finetune.tiny": TINY, INTERPOLATE: {0: 0.50, 1: 0.56, 2: 0.62}}
    row = row_of(compare(runs_of(values), study()), INTERPOLATE)
    assert row["delta_vs_reference"] == pytest.approx(-0.08)  # of -0.10, -0.08, -0.06
    more = compare(runs_of({"finetune.big": MANY, INTERPOLATE: {s: 0.52 + 0.02 * s for s in MANY}}), study(seeds=5))
    assert row_of(more, INTERPOLATE)["delta_ci_low"] < -0.08 < row_of(more, INTERPOLATE)["delta_ci_high"]
    assert row["delta_vs_small"] == pytest.approx(-0.01)  # of -0.05, -0.01, 0.03


def test_a_system_for_all_seeds_is_compared_with_every_seed(study, runs_of, compare):
    row = row_of(compare(runs_of({"finetune.big": MANY, "majority": {"all": 0.5}}), study(seeds=5)), "majority")
    assert row["delta_vs_reference"] == pytest.approx(-0.14)
    assert row["delta_ci_low"] < -0.14 < row["delta_ci_high"]
    # One run for all seeds is uncertain by its examples alone: 3.1 points with 1,000 of them.
    assert row["ci_low"] == pytest.approx(0.469, abs=0.006) and row["ci_high"] == pytest.approx(0.531, abs=0.006)
    assert (row["n_seeds"], row["sd"]) == (1, None)


def test_missing_and_failed_runs_are_counted_and_leave_their_seed_out_of_the_pairs(study, runs_of, compare):
    values = {"finetune.big": BIG, INTERPOLATE: {0: 0.50, 1: "failed", 2: "missing"}}
    row = row_of(compare(runs_of(values), study()), INTERPOLATE)
    assert (row["n_seeds"], row["n_expected"], row["n_missing"], row["n_failed"]) == (1, 3, 1, 1)
    assert row["delta_vs_reference"] == pytest.approx(-0.10)  # seed 0 alone: 0.50 - 0.60
    assert (row["ci_low"], row["delta_ci_low"]) == (None, None)


def test_a_run_that_did_not_learn_is_counted_and_moves_the_mean_alone(study, runs_of, compare):
    twelve = {seed: 0.80 + 0.002 * seed for seed in range(12)}
    values = {
        "finetune.big": twelve | {3: 0.5},
        "finetune.tiny": {seed: value - 0.05 for seed, value in twelve.items()},
    }
    table = compare(runs_of(values), study(seeds=12))
    big, tiny = (row_of(table, name) for name in values)
    assert (big["failed"], tiny["failed"], big["floor"]) == (1, 0, 0.5) and COLUMNS[-4:-1] == (
        "typical",
        "failed",
        "failed_high",
    )
    assert big["mean"] < 0.79 < big["typical"] and tiny["failed_high"] == pytest.approx(1 - 0.05 ** (1 / 12))
    assert tiny["delta_vs_reference"] == pytest.approx(-0.05) and tiny["delta_ci_high"] < -0.02
    assert formats.runs(big) == "12/12, 1 did not learn (≤ 34%)" and formats.runs(tiny) == "12/12"


def test_a_system_without_any_finished_run_keeps_its_row(study, runs_of, compare):
    table = compare(runs_of({"finetune.big": BIG, INTERPOLATE: {0: "failed", 1: "missing", 2: "missing"}}), study())
    row = row_of(table, INTERPOLATE)
    assert (row["mean"], row["delta_vs_reference"], row["train_flops"], row["verdict"]) == (None, None, None, None)
    assert row["pareto"] is False


def test_a_missing_reference_leaves_differences_and_ratios_empty(study, runs_of, compare):
    row = row_of(compare(runs_of({"finetune.big": {0: "failed"}, INTERPOLATE: {0: 0.5}}), study()), INTERPOLATE)
    assert (row["mean"], row["delta_vs_reference"], row["train_flops_ratio"]) == (0.5, None, None)


def test_costs_are_means_and_ratios_to_the_reference(study, runs_of, compare):
    values = {"finetune.big": BIG, "finetune.tiny": TINY}
    row = row_of(compare(runs_of(values, flops={"finetune.big": 400}), study()), "finetune.tiny")
    assert (row["train_flops"], row["train_flops_ratio"], row["inference_flops_ratio"]) == (100, 0.25, 1.0)


def test_degenerate_runs_are_counted(study, runs_of, compare):
    runs = runs_of({"finetune.big": BIG})
    runs.loc[1, "degenerate"] = True
    assert compare(runs, study()).iloc[0]["degenerate"] == 1


def test_pareto_front_holds_what_nothing_dominates():
    costs = pd.Series([0, 10, 10, 20, 20, 30, None], dtype=object)
    metrics = pd.Series([0.5, 0.7, 0.6, 0.7, 0.8, 0.8, None], dtype=object)
    assert pareto_front(metrics, costs) == [True, True, False, False, True, False, False]


def test_what_is_cheaper_to_use_is_on_the_front_of_three_and_not_of_two():
    points = [0.7, 1, 9], [0.6, 2, 4], [0.6, 2, 5]
    metrics, training, inference = (pd.Series(values, dtype=object) for values in zip(*points, strict=True))
    assert pareto_front(metrics, training) == [True, False, False]
    assert pareto_front(metrics, training, inference) == [True, True, False]


def test_equal_points_are_both_on_the_front():
    assert pareto_front(pd.Series([1, 1], dtype=object), pd.Series([0.5, 0.5], dtype=object)) == [True, True]
