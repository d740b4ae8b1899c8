import pytest

from graft.reporting.aggregate import COLUMNS, aggregated

BIG, TINY, MAJORITY = "finetune.big", "finetune.tiny", "majority"


def test_systems_stand_by_their_mean_with_its_interval(study, runs_of, tested):
    seeds = range(6)
    values = {TINY: {s: 0.7 + s / 100 for s in seeds}, BIG: {s: 0.9 + s / 200 for s in seeds}, MAJORITY: {"all": 0.5}}
    table = aggregated(*tested(runs_of(values), study()))
    assert tuple(table.columns) == COLUMNS and list(table["system"]) == [BIG, TINY, MAJORITY]
    assert list(table["mean_rank"]) == [1, 2, 3] and set(table["tasks"]) == {"rte"}
    first = table.iloc[0]
    assert first["kind"] == "finetune" and first["iqm"] == pytest.approx(1.0)
    assert (table["iqm_low"] <= table["iqm"]).all() and (table["iqm"] <= table["iqm_high"]).all()
    few = aggregated(*tested(runs_of({TINY: {0: 0.7, 1: 0.74}, BIG: {0: 0.9, 1: 0.92}}), study()))
    assert (
        list(few["system"]) == [BIG, TINY]
        and few[["iqm_low", "iqm_high", "rank_low", "rank_high"]].isna().to_numpy().all()
    )


def test_a_study_without_a_finished_run_has_no_rows(study, runs_of, tested):
    assert aggregated(*tested(runs_of({BIG: {0: "missing"}}), study())).empty
