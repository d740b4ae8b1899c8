import pytest

from graft.reporting import csv_files, tables, transfer
from graft.reporting.comparison import COLUMNS
from graft.study.grid import Grid


@pytest.fixture
def grid(study):
    hub = {"kind": "hub", "repo": "a/snli", "revision": "0" * 40}
    snli = {"from": "rte", "source": hub, "text": ["premise", "hypothesis"], "label": "label"}
    snli |= {"labels": {"0": "entailment", "1": "not_entailment"}, "systems": ["finetune.*", "merge.interpolate.*"]}
    # Of a task, the merge would be judged: it is in the primary family.
    return Grid(study(seeds=12, transfer={"snli": snli}, include=["rte/*"], statistics={"margins": {"rte": 0.03}}))


def test_transfers_are_compared_like_tasks_and_all_of_it_is_descriptive(grid, paths, write_run):
    for seed in range(12):
        write_run("finetune.big", seed, value=0.5 + seed / 100, task="snli.from-rte")
        write_run("merge.interpolate.tiny-into-big", seed, value=0.6 + seed / 100, task="snli.from-rte")
    transfer.write_transfer(grid, paths)
    table = csv_files.read_csv(paths.tables / "transfer.csv")
    assert tuple(table.columns) == COLUMNS
    assert set(table["task"]) == {"snli.from-rte"}
    assert table["system"].tolist() == ["finetune.big", "finetune.tiny", "merge.interpolate.tiny-into-big"]
    merge = table.iloc[2]
    assert merge["n_seeds"] == 12 and merge["delta_vs_reference"] == pytest.approx(0.1)
    assert merge["verdict"] == "descriptive" and merge["p_holm"] is None and merge["p_value"] < 0.05
    assert table.iloc[1]["n_missing"] == 12
    tables.write_runs(grid, paths)
    tables.write_comparison(grid, paths)
    assert set(csv_files.read_csv(paths.tables / "comparison.csv")["task"]) == {"rte"}


def test_margins_are_those_of_the_task_that_systems_were_trained_on(grid):
    assert transfer.as_tasks(grid).statistics.margins == {"snli.from-rte": 0.03}


def test_a_transfer_of_another_config_is_refused_by_name(grid, paths, write_run):
    path = write_run("finetune.big", 0, task="snli.from-rte", fingerprint="0" * 16)
    with pytest.raises(ValueError, match=f"{path}: made by another config"):
        transfer.write_transfer(grid, paths)
    transfer.write_transfer(grid, paths, refuse_stale=False)
    assert csv_files.read_csv(paths.tables / "transfer.csv").iloc[0]["n_missing"] == 12
