import logging

import pytest

from graft.io import files
from graft.reporting.runs import gather


def test_every_expected_run_has_a_row_in_the_order_of_the_grid(grid, paths, write_run, write_log):
    write_run("finetune.big", 1, value=0.625, train_flops=2**70)
    write_log("finetune_model", "finetune.big", 2, "ValueError: broken\n")
    table = gather(grid, paths)
    names = list(zip(table["task"], table["system"], table["seed"], strict=True))
    assert names == [(run.task, run.system.name, run.seed) for run in grid.runs]
    assert list(table["state"][:3]) == ["missing", "done", "failed"]
    done = table.iloc[1]
    assert (done["value"], done["accuracy"], done["stderr"], done["n"]) == (0.625, 0.625, 0.03, 277)
    assert (done["select_metric"], done["select_value"], done["train_flops"]) == ("accuracy", 0.625, 2**70)
    assert (done["kind"], done["label_use"], done["metric"]) == ("finetune", "train", "accuracy")


def test_a_running_run_counts_as_missing(grid, paths, write_log):
    write_log("finetune_model", "finetune.big", 0, "12:00:00 finetune 3/9\n")
    assert gather(grid, paths)["state"].iloc[0] == "missing"


def test_a_stale_run_is_refused_with_its_file_and_the_command(grid, paths, write_run):
    path = write_run("finetune.big", 0, fingerprint="old")
    with pytest.raises(ValueError) as error:
        gather(grid, paths)
    assert str(error.value).startswith(f"{path}: made by another config")
    assert f"run snakemake again, or delete {path.parent} first" in str(error.value)


def test_a_record_in_the_wrong_folder_is_refused(grid, paths, write_run):
    path = write_run("finetune.big", 0)
    files.write_json(path, files.read_json(path) | {"system": "finetune.tiny"})
    with pytest.raises(ValueError, match="records rte/finetune.tiny/seed-0, not rte/finetune.big/seed-0"):
        gather(grid, paths)


def test_mixed_code_versions_are_warned_of(grid, paths, write_run, caplog):
    write_run("finetune.big", 0, code="0+a")
    with caplog.at_level(logging.WARNING):
        gather(grid, paths)
        assert not caplog.records
        write_run("finetune.big", 1, code="0+b")
        gather(grid, paths)
    assert "0+a (1 runs), 0+b (1 runs)" in caplog.text
