"""The rows of the frontier figures, from run.json files."""

import pytest

from graft.reporting import csv_files, formats, tables
from graft.reporting.figures import frontier_rows
from graft.reporting.figures.source import Source
from graft.study.grid import Grid

BIG, TINY, MAJORITY = "finetune.big", "finetune.tiny", "majority"
INTERPOLATE, CONTROL = "merge.interpolate.tiny-into-big", "control.head-only.labelled.tiny-into-big"
COSTS = {BIG: 120, TINY: 100, MAJORITY: 0, INTERPOLATE: 25, CONTROL: 30}


@pytest.fixture
def source_with(paths, write_run, study):
    """A source of these values by system; the merge builds on the fine-tuned small model with the same seed."""

    def made(values, seeds=12):
        for system, value in values.items():
            for seed in ("all",) if system in (MAJORITY, CONTROL) else range(seeds):
                parts = {f"{system}/rte/seed-{seed}": COSTS[system]} if COSTS[system] else {}
                parts |= {f"{TINY}/rte/seed-{seed}": COSTS[TINY]} if system == INTERPOLATE else {}
                noise = 0 if seed == "all" else 0.01 * (seed % 3)
                write_run(system, seed, value + noise, train_flops=sum(parts.values()), parts=parts)
        grid = Grid(study(seeds=12, statistics={"draws": 400, "primary_family": ["merge.*"]}))
        tables.write_runs(grid, paths)
        tables.write_comparison(grid, paths)
        return Source(grid, paths, csv_files.read_comparison(paths), csv_files.read_csv(paths.tables / "runs.csv"))

    return made


def _by_scenario(table):
    found = {}
    for row in formats.records(table):
        found.setdefault(row["scenario"], {})[row["system"]] = row
    return found


VALUES = {MAJORITY: 0.5, TINY: 0.7, BIG: 0.8, INTERPOLATE: 0.75, CONTROL: 0.6}


def test_costs_are_the_scenarios_and_the_best_never_falls(source_with):
    found = _by_scenario(frontier_rows.rows(source_with(VALUES), "train_flops"))
    scratch, given = found["from-scratch"], found["small-given"]
    assert [(row["system"], row["cost"]) for row in scratch.values() if row["classical"]] == [
        (MAJORITY, 0), (TINY, 100), (BIG, 120)]  # fmt: skip
    assert (scratch[INTERPOLATE]["cost"], given[INTERPOLATE]["cost"], given[TINY]["cost"]) == (125, 25, 0)
    for rows in found.values():
        classical = [row for row in rows.values() if row["classical"]]
        best = [row["best"] for row in classical]
        assert best == sorted(best) and all(row["best"] >= row["mean"] for row in classical)
        assert all(row["best_low"] <= row["best"] <= row["best_high"] for row in classical)
        assert all(row["best"] is None for row in rows.values() if not row["classical"])


def test_the_best_merge_its_rival_and_the_best_classical_system_are_named(source_with):
    given = _by_scenario(frontier_rows.rows(source_with(VALUES), "train_flops"))["small-given"]
    named = {name: row["role"] for name, row in given.items() if row["role"]}
    assert named == {
        INTERPOLATE: f"{frontier_rows.BEST_MERGE}; beats its rival",
        TINY: frontier_rows.RIVAL,
        BIG: frontier_rows.BEST_CLASSICAL,
    }
    assert given[INTERPOLATE]["says"] == "1 of 1 merges beats its matched rival"


def test_a_control_that_wins_is_named(source_with):
    rows = _by_scenario(frontier_rows.rows(source_with(VALUES | {CONTROL: 0.9}), "train_flops"))["small-given"]
    assert rows[CONTROL]["role"] == "control ahead" and rows[CONTROL]["difference"] > 0


def test_nothing_is_claimed_without_a_verdict(source_with):
    table = frontier_rows.rows(source_with(VALUES, seeds=3), "train_flops")
    for row in formats.records(table):
        assert row["best_low"] is None and row["says"].endswith("(no verdict)") and "beats" not in row["says"]
        assert row["low"] is None and len(row["dots"].split()) in (1, 3)


def test_a_merge_that_loses_is_not_said_to_win(source_with):
    source = source_with(VALUES | {INTERPOLATE: 0.6})
    assert {*frontier_rows.rows(source, "train_flops")["says"]} == {"None of 1 merges beats its matched rival"}
    (said,) = {*frontier_rows.rows(source, "inference_flops")["says"]}
    assert said == "Against its rival the best merge is worse at every cost to run"


def test_scenarios_that_look_alike_are_one_picture(source_with):
    # All systems cost the same to run here, but what the merge is matched with depends on what is free.
    source = source_with(VALUES | {INTERPOLATE: 0.85})
    for cost in ("train_flops", "inference_flops"):
        table = frontier_rows.rows(source, cost)
        assert {*zip(table["scenario"], table["same_in"], strict=True)} == {("from-scratch", ""), ("small-given", "")}
    alike = source_with({TINY: 0.9, BIG: 0.6, INTERPOLATE: 0.75})
    table = frontier_rows.rows(alike, "inference_flops")
    assert {*zip(table["scenario"], table["same_in"], strict=True)} == {("from-scratch", "small-given")}
    assert [*table[table["limit"] == "small"]["system"]] == [TINY]


def test_without_a_matched_merge_there_is_nothing_to_draw(source_with, source):
    assert frontier_rows.rows(source, "train_flops").empty
    assert frontier_rows.rows(source_with({BIG: 0.8, TINY: 0.7}), "train_flops").empty
