import math

import pandas as pd
import pytest

from graft.io import files
from graft.reporting import csv_files, tables


def test_a_table_survives_its_csv(tmp_path):
    table = pd.DataFrame(
        {"seed": [0, "all"], "value": [0.1 + 0.2, math.pi / 1e20], "pareto": [True, False], "low": [None, 0.5]},
        dtype=object,
    )
    csv_files.write_csv(table, tmp_path / "t.csv")
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines == ["seed,value,pareto,low", "0,0.30000000000000004,true,", "all,3.141592653589793e-20,false,0.5"]
    read = csv_files.read_csv(tmp_path / "t.csv")
    assert list(read["value"]) == list(table["value"])
    assert list(read["pareto"]) == [True, False] and list(read["low"]) == [None, 0.5]


def test_integers_beside_empty_cells_stay_integers(tmp_path):
    csv_files.write_csv(pd.DataFrame({"flops": [2**70 + 1, None], "n": [1, 2]}, dtype=object), tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == f"flops,n\n{2**70 + 1},1\n,2\n"


def test_a_table_that_is_not_there_is_named_with_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="t.csv: no such table; .*graft tables"):
        csv_files.read_csv(tmp_path / "t.csv")


def test_tables_and_figures_are_the_same_bytes_twice(grid, paths, write_run):
    for seed, value in ((0, 0.6), (1, 0.7)):
        write_run("finetune.big", seed, value, train_flops=100)
        write_run("finetune.tiny", seed, value - 0.1, train_flops=20)
    write_run("majority", "all", 0.5, train_flops=0, degenerate=True)

    def made():
        tables.write_runs(grid, paths)
        tables.write_comparison(grid, paths)
        tables.write_figures(grid, paths)
        tables.write_report(grid, paths)
        written = [*paths.tables.iterdir(), *paths.figures.iterdir(), paths.report]
        return {file: files.sha256(file) for file in written}

    first = made()
    assert {file.name for file in first} == {
        *("runs.csv", "significance.csv", "aggregate.csv", "report.html"),
        *(f"comparison.{ending}" for ending in ("csv", "md", "html", "tex")),
        *(
            f"{figure}.rte.{ending}"
            for figure in ("metric-vs-training-flops", "metric-vs-inference-flops", "differences", "seeds")
            for ending in ("svg", "png", "pdf", "csv")
        ),
    }
    assert made() == first
    table = csv_files.read_csv(paths.tables / "comparison.csv").set_index("system")
    assert table.loc["majority", "degenerate"] == 1 and table.loc["majority", "pareto"] is True
    assert table.loc["finetune.big", "n_missing"] == 1


def test_a_comparison_of_an_older_version_is_reported_in_one_sentence(paths):
    csv_files.write_csv(pd.DataFrame({"task": ["rte"], "system": ["majority"]}), paths.tables / "comparison.csv")
    with pytest.raises(ValueError, match="comparison.csv: no column kind \(an older version wrote it\)"):
        csv_files.read_comparison(paths)
